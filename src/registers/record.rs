//! The rows of a dataset: how they are ordered, which columns they become.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Int64Array, RecordBatch, StringBuilder, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::field::{Text, trimmed};
use super::sort::Sortable;

/// Stands for "no person" in a row; sorts after every person.
pub(super) const NO_PERSON: u32 = u32::MAX;
/// Stands for "no date" in a row; sorts after every date.
pub(super) const NO_DAY: i32 = i32::MAX;

/// What a row knows of its line.
pub(super) trait Lined {
    /// The line it came from.
    fn line(&self) -> u32;
    /// Whether all but the line is the same.
    fn same(&self, other: &Self) -> bool;
}

/// A row of a dataset. Its order is person, date, then everything else, the line number last.
pub(super) trait Record: Sortable + Lined + Send + 'static {
    /// The person, or [`NO_PERSON`].
    fn person(&self) -> u32;
    /// The date that rows are ordered by.
    fn day(&self) -> i32;
    /// Whether it only repeats `other`.
    fn repeats(&self, other: &Self) -> bool {
        self.same(other)
    }
    /// The name of the date column that rows are ordered by.
    const ORDERED_BY: &'static str;
    /// Whether it has a serial number that stands for no one.
    fn unknown_person(&self) -> bool {
        false
    }
    /// What the person's objection left of it.
    fn left(&self) -> Left {
        Left::All
    }
    /// What it says of the person that one person should have only one of.
    fn traits(&self) -> Traits;
    /// Its columns.
    fn columns() -> Vec<Column<Self>>;
}

/// What is left of a row after its person's objection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// All of it: there is no objection.
    All,
    /// What is not health content.
    Reduced,
    /// Nothing: it is not written.
    Nothing,
}

/// What a row says of its person. Zero where it says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    /// The sex.
    pub(super) sex: u8,
    /// The year of birth.
    pub(super) birth_year: u16,
    /// The municipality.
    pub(super) municipality: Text<4>,
    /// The last day of a residence, for residences, of which one person has one at a time.
    pub(super) resident_until: Option<i32>,
}

/// Declares a row: a struct with the given fields and a line number, ordered by them from the first to
/// the last, and packed in that order. The first two must be the person and the date.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name {
            $($field: $type,)*
            line: u32,
        }

        impl $crate::registers::record::Lined for $name {
            fn line(&self) -> u32 {
                self.line
            }
            fn same(&self, other: &Self) -> bool {
                true $(&& self.$field == other.$field)*
            }
        }

        impl $crate::registers::sort::Sortable for $name {
            fn key(&self) -> u64 {
                $crate::registers::record::key(self.person(), self.day())
            }
        }

        impl $crate::registers::sort::Packed for $name {
            const WIDTH: usize = $(<$type as $crate::registers::sort::Packed>::WIDTH +)* 4;
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
                self.line.put(out);
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self {
                    $($field: <$type as $crate::registers::sort::Packed>::take(bytes)?,)*
                    line: u32::take(bytes)?,
                })
            }
        }
    };
}
pub(super) use record;

/// Person and date as one number in the same order.
pub(super) fn key(person: u32, day: i32) -> u64 {
    u64::from(person) << 32 | u64::from(day.cast_unsigned() ^ 1 << 31)
}

/// A column: its name and how a row fills it.
pub(super) struct Column<R> {
    name: &'static str,
    nullable: bool,
    cell: Cell<R>,
}

/// How a row fills a column, by the column's type.
pub(super) enum Cell<R> {
    Bool(fn(&R) -> bool),
    U8(fn(&R) -> Option<u8>),
    U16(fn(&R) -> Option<u16>),
    U32(fn(&R) -> Option<u32>),
    U64(fn(&R) -> Option<u64>),
    I64(fn(&R) -> Option<i64>),
    F32(fn(&R) -> Option<f32>),
    Date(fn(&R) -> Option<i32>),
    Text(fn(&R) -> &[u8]),
}

impl<R> Column<R> {
    /// A column in which every row has a value.
    pub(super) const fn full(name: &'static str, cell: Cell<R>) -> Self {
        Self { name, nullable: false, cell }
    }

    /// A column in which a row may have none.
    pub(super) const fn maybe(name: &'static str, cell: Cell<R>) -> Self {
        Self { name, nullable: true, cell }
    }

    fn field(&self) -> Field {
        let kind = match self.cell {
            Cell::Bool(_) => DataType::Boolean,
            Cell::U8(_) => DataType::UInt8,
            Cell::U16(_) => DataType::UInt16,
            Cell::U32(_) => DataType::UInt32,
            Cell::U64(_) => DataType::UInt64,
            Cell::I64(_) => DataType::Int64,
            Cell::F32(_) => DataType::Float32,
            Cell::Date(_) => DataType::Date32,
            Cell::Text(_) => DataType::Utf8,
        };
        Field::new(self.name, kind, self.nullable)
    }

    fn array(&self, rows: &[R]) -> ArrayRef {
        match self.cell {
            Cell::Bool(get) => Arc::new(rows.iter().map(|r| Some(get(r))).collect::<BooleanArray>()),
            Cell::U8(get) => Arc::new(rows.iter().map(get).collect::<UInt8Array>()),
            Cell::U16(get) => Arc::new(rows.iter().map(get).collect::<UInt16Array>()),
            Cell::U32(get) => Arc::new(rows.iter().map(get).collect::<UInt32Array>()),
            Cell::U64(get) => Arc::new(rows.iter().map(get).collect::<UInt64Array>()),
            Cell::I64(get) => Arc::new(rows.iter().map(get).collect::<Int64Array>()),
            Cell::F32(get) => Arc::new(rows.iter().map(get).collect::<Float32Array>()),
            Cell::Date(get) => Arc::new(rows.iter().map(get).collect::<Date32Array>()),
            Cell::Text(get) => {
                let mut texts = StringBuilder::with_capacity(rows.len(), rows.len() * 4);
                for row in rows {
                    let text = std::str::from_utf8(trimmed(get(row))).unwrap_or_default();
                    texts.append_option((!text.is_empty()).then_some(text));
                }
                Arc::new(texts.finish())
            }
        }
    }
}

/// The schema of these columns.
pub(super) fn schema<R>(columns: &[Column<R>]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}

/// The batch of these rows.
pub(super) fn batch<R>(
    schema: &SchemaRef,
    columns: &[Column<R>],
    rows: &[R],
) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(schema.clone(), columns.iter().map(|column| column.array(rows)).collect())
}

/// The person column that every dataset begins with.
pub(super) fn person_column<R: Record>(nullable: bool) -> Column<R> {
    let cell: Cell<R> = Cell::U32(|r| (r.person() != NO_PERSON).then(|| r.person()));
    Column { name: "person_no", nullable, cell }
}

/// A number that is zero where there is none.
pub(super) fn nonzero<T: Default + PartialEq>(n: T) -> Option<T> {
    (n != T::default()).then_some(n)
}

/// A day that is [`NO_DAY`] where there is none.
pub(super) fn some_day(day: i32) -> Option<i32> {
    (day != NO_DAY).then_some(day)
}
