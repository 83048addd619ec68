//! Amounts as text. The only place that turns a decimal into characters.

use ledgerward_contract::Decimal;

/// At least this many decimals are shown; more if the amount has more. (No currency in use has a unit we would hide.)
const DECIMALS: u32 = 2;

/// For machines: `-1234.5` as `-1234.50`, exact, no thousands separators, never `-0`.
pub fn plain(amount: Decimal) -> String {
    let trimmed = amount.normalize();
    let mut shown = trimmed;
    if trimmed.scale() < DECIMALS {
        shown.rescale(DECIMALS);
    }
    // A value near 2^96 has no room for more decimals; it is then written with those it has.
    let shown = if shown.scale() < DECIMALS { trimmed } else { shown };
    if shown.is_zero() { shown.abs().to_string() } else { shown.to_string() }
}

/// For people: `-1,234.50`. A minus sign and not parentheses, so that a figure reads the same in every file we write.
pub fn grouped(amount: Decimal) -> String {
    let text = plain(amount);
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut out = String::from(sign);
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_as_an_accountant_writes_them() {
        for (given, machine, person) in [
            ("0", "0.00", "0.00"),
            ("-0.00", "0.00", "0.00"),
            ("-100", "-100.00", "-100.00"),
            ("1234.5", "1234.50", "1,234.50"),
            ("-1234567.891", "-1234567.891", "-1,234,567.891"),
            ("999", "999.00", "999.00"),
            ("1000.10", "1000.10", "1,000.10"),
            (
                "79228162514264337593543950335",
                "79228162514264337593543950335",
                "79,228,162,514,264,337,593,543,950,335",
            ),
        ] {
            let amount: Decimal = given.parse().unwrap();
            assert_eq!(plain(amount), machine);
            assert_eq!(grouped(amount), person);
        }
    }

    proptest! {
        #[test]
        fn no_amount_loses_anything(mantissa in any::<i64>(), scale in 0u32..12) {
            let amount = Decimal::new(mantissa, scale);
            prop_assert_eq!(plain(amount).parse::<Decimal>().unwrap(), amount);
            prop_assert_eq!(grouped(amount).replace(',', "").parse::<Decimal>().unwrap(), amount);
        }
    }
}
