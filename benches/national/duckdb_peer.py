"""The peer of the national question: the same cells and margins in DuckDB, over the same Parquet files.

Reads lines from standard input; for each, answers the question once and writes the seconds it took. The first
answer goes to the file named by --cells.
"""

import argparse
import csv
import sys
import time

import duckdb

QUESTION = """
with first as (
  select person_no, min(utdato) as index_date from read_parquet($linked) group by person_no
), home as (
  select f.person_no, arg_max(r.municipality, r.from_date) as municipality
  from first f join read_parquet($residence) r using (person_no)
  where r.from_date <= f.index_date and (r.to_date is null or r.to_date >= f.index_date)
  group by f.person_no
), event as (
  select f.person_no, min(c.dato - f.index_date) as days
  from first f join read_parquet($contacts) c using (person_no)
  where c.tjenestetype = 1 and c.kontakttype = 3
    and c.dato between $first_day and $last_day + 180
    and c.dato between f.index_date and f.index_date + 180
  group by f.person_no
), born as (
  select f.person_no, p.sex, coalesce(h.municipality, '9999') as municipality, e.days,
    (year(index_date) * 10000 + month(index_date) * 100 + day(index_date)
      - year(birth_date) * 10000 - month(birth_date) * 100 - day(birth_date)) // 10000 as years
  from first f
    join read_parquet($population) p using (person_no)
    left join home h using (person_no)
    left join event e using (person_no)
), person as (
  -- One row a person, so that counting rows counts distinct persons, and at the least cost.
  select sex, municipality, left(municipality, 2) as county, days,
    case when years < 18 then '0-17' when years < 45 then '18-44' when years < 67 then '45-66' else '67+' end
      as age
  from born
)
select coalesce(sex::text, 'Total') as sex, coalesce(age, 'Total') as age,
  coalesce(municipality, county, 'Total') as municipality,
  count(*) as persons,
  count(*) filter (days <= 30) as gp_30,
  count(*) filter (days <= 90) as gp_90,
  count(*) filter (days <= 180) as gp_180
from person
group by cube(sex, age), rollup(county, municipality)
"""


def main():
    parser = argparse.ArgumentParser()
    for name in ["linked", "cells", "from", "to"]:
        parser.add_argument(f"--{name}", required=True)
    for name in ["population", "residence", "contacts"]:
        parser.add_argument(f"--{name}", required=True, nargs="+")
    parser.add_argument("--threads", type=int, required=True)
    args = vars(parser.parse_args())
    connection = duckdb.connect(config={"threads": args["threads"]})
    values = {name: args[name] for name in ["linked", "population", "residence", "contacts"]}
    days = connection.execute("select $1::date, $2::date", [args["from"], args["to"]]).fetchone()
    values |= {"first_day": days[0], "last_day": days[1]}
    print(duckdb.__version__, flush=True)
    written = False
    for _ in sys.stdin:
        start = time.perf_counter()
        rows = connection.execute(QUESTION, values).fetchall()
        seconds = time.perf_counter() - start
        # Before the answer: whoever asked reads the file next.
        if not written:
            with open(args["cells"], "w", newline="") as file:
                csv.writer(file).writerows(rows)
            written = True
        print(seconds, flush=True)


main()
