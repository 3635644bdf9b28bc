//! What a contact costs: tariff codes, the patient's share, the refund. Codes are real, amounts of the
//! right size only.

use super::draw::Draw;

/// The bill of one contact; amounts in øre.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    /// `fritakskode`: B a child, F exempt after much use, empty for none.
    pub(super) exemption: &'static str,
    pub(super) paid: u32,
    pub(super) refund: u32,
    /// Codes and how many times each.
    pub(super) tariffs: [Option<(&'static str, u32)>; 3],
}

/// The bill for a contact of this service and kind. `late` is evening or night.
pub(super) fn bill(service: u8, kind: u8, late: bool, age: i32, frailty: usize, draw: &mut Draw) -> Bill {
    let chance = draw.below(100);
    let (code, paid, refund) = match (service, kind) {
        (1, 3) if chance < 22 => ("2ae", 17_900, 19_500),
        (1, 3) => ("2ad", 17_900, 19_100),
        (2, 3) if late => ("2ak", 39_000, 34_500),
        (2, 3) => ("2ad", 27_500, 24_000),
        (1 | 2, 4) if late => ("11ak", 42_500, 61_000),
        (1 | 2, 4) => ("11ad", 30_500, 47_000),
        (1 | 2, 2) if late => ("1bk", 0, 8_300),
        (1 | 2, 2) if chance < 30 => ("1h", 0, 7_400),
        (1 | 2, 2) => ("1bd", 7_400, 6_600),
        (1 | 2, 5) => ("14", 0, 72_000),
        (1 | 2, _) => ("1g", 0, 5_900),
        (3 | 4, _) => ("A2a", 19_400, 21_000),
        (5, _) => ("K1", 48_000, 15_000),
        (6..=8, _) => ("302", 22_000, 64_000),
        (9, _) => ("H1", 0, 0),
        _ => ("L10", 0, 52_000),
    };
    let exemption = match age {
        ..16 => "B",
        _ if frailty >= 26 && draw.below(2) == 0 => "F",
        _ => "",
    };
    let consultation = service <= 2 && kind == 3;
    let sick_leave = consultation && (18..68).contains(&age) && chance.is_multiple_of(8);
    let long = consultation && chance.is_multiple_of(3);
    let extra = if long { Some(("2cd", 1 + draw.below(2))) } else { None };
    Bill {
        exemption,
        paid: if exemption.is_empty() { paid } else { 0 },
        refund: refund + if exemption.is_empty() { 0 } else { paid } + extra.map_or(0, |(_, n)| n * 20_500),
        tariffs: [Some((code, 1)), extra, sick_leave.then_some(("L1", 1))],
    }
}
