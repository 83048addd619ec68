use super::*;
use ledgerward_contract::FilePath;
use proptest::prelude::*;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n)
}

/// What every target needs of a component, stated on its own and not by the code under test.
fn is_safe(name: &str) -> Result<(), String> {
    let stem = name.split('.').next().unwrap_or("").to_lowercase();
    let checks = [
        (FilePath::new(vec![name.to_owned()]).is_some(), "the contract refuses it"),
        (name.len() <= 200, "too many bytes"),
        (name.graphemes(true).count() <= 120, "too many graphemes"),
        (
            !name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|', '\0', '\n', '\t', '\u{7f}']),
            "forbidden character",
        ),
        (!name.ends_with(['.', ' ']) && !name.starts_with(['.', ' ', '~']), "outer blank, dot or tilde"),
        (!["con", "prn", "aux", "nul", "com0", "com9", "lpt1"].contains(&stem.as_str()), "a device"),
        (!name.to_lowercase().contains("_vti_"), "_vti_"),
        (!name.chars().any(|c| ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{200b}'), "invisible"),
        (name.nfc().eq(name.chars()), "not NFC"),
    ];
    match checks.iter().find(|(ok, _)| !ok) {
        None => Ok(()),
        Some((_, why)) => Err(format!("{name:?}: {why}")),
    }
}

#[test]
fn n04_a_path_is_only_text() {
    for (given, want) in [
        ("../../etc", "_..／..／etc"),
        ("/etc/passwd", "／etc／passwd"),
        ("C:\\Windows", "C：＼Windows"),
        ("~$Budget.xlsx", "_~$Budget.xlsx"),
        ("a\0b", "ab"),
        ("Harbour & Co", "Harbour & Co"),
    ] {
        assert_eq!(component(given, &id(1)), want);
    }
}

#[test]
fn n05_forbidden_characters_stay_visible() {
    assert_eq!(component("a/b\\c:d*e?f\"g<h>i|j\tk\nl\u{7f}", &id(1)), "a／b＼c：d＊e？f＂g＜h＞i｜j k l");
}

#[test]
fn n06_unicode_is_composed_and_nothing_hides() {
    assert_eq!(component("Cafe\u{301} \u{202e}gpj.exe\u{202c}", &id(1)), "Café gpj.exe");
    assert_eq!(component("e\u{200b}\u{301}", &id(1)), "é");
    assert_eq!(component("Bäckerei 🥐 Ωmega Жук 東京", &id(1)), "Bäckerei 🥐 Ωmega Жук 東京");
}

#[test]
fn n07_long_names_are_cut_with_a_mark() {
    let name = component(&"Großhandel ".repeat(40), &id(0xabc));
    assert!(name.ends_with("~00000abc"), "{name}");
    is_safe(&name).unwrap();
    is_safe(&component(&"👩‍👩‍👧‍👦".repeat(80), &id(1))).unwrap();
    is_safe(&component(&format!("x{}", "\u{301}".repeat(4000)), &id(1))).unwrap();
}

#[test]
fn n08_reserved_names_are_escaped_everywhere() {
    for (given, want) in [
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM0", "_COM0"),
        ("Com¹.log", "_Com¹.log"),
        (".lock", "_.lock"),
        ("desktop.ini", "_desktop.ini"),
        ("Forms", "_Forms"),
        ("my_VTI_folder", "my-vti-folder"),
        ("Smith Ltd. ", "Smith Ltd"),
        ("...", "client-00000001"),
        ("Console", "Console"),
        ("COMET", "COMET"),
    ] {
        assert_eq!(component(given, &id(1)), want);
        is_safe(&component(given, &id(1))).unwrap();
    }
}

#[test]
fn n09_names_that_a_target_takes_for_one_get_a_suffix() {
    let mut taken = BTreeSet::new();
    let wanted = ["ACME", "Acme", "acme", "ＡＣＭＥ", "Straße", "STRASSE", "Café", "Cafe\u{301}", "a/b", "a／b"];
    let got: Vec<String> = wanted
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let name = assign(&taken, name, &id(n as u128));
            taken.insert(unique_key(&name));
            name
        })
        .collect();
    assert_eq!(got[0], "ACME");
    assert_eq!(got[1], "Acme ~00000001");
    assert_eq!(got[5], "STRASSE ~00000005");
    assert_eq!(got[7], "Café ~00000007");
    assert_eq!(taken.len(), wanted.len());
}

#[test]
fn n09_a_name_made_to_look_like_ours_takes_nothing() {
    let me = id(7);
    let hex = me.simple().to_string();
    let mut taken = BTreeSet::new();
    for squatter in
        ["ACME".to_owned(), format!("ACME ~{}", id8(&me)), format!("ACME ~{}", &hex[16..]), format!("ACME ~{hex}")]
    {
        taken.insert(unique_key(&squatter));
    }
    let mine = assign(&taken, "acme", &me);
    assert!(!taken.contains(&unique_key(&mine)), "{mine}");
}

#[test]
fn n11_nothing_to_see_becomes_the_id() {
    for empty in ["", " ", "\u{200b}\u{200d}", "///", "??:", "...", "\t\n", "\u{3164}", "_", "~"] {
        assert_eq!(component(empty, &id(0xbeef)), "client-0000beef", "{empty:?}");
    }
}

/// Pieces that have broken somebody's software, glued together by a fixed generator.
fn hostile(n: u64) -> String {
    const PIECES: [&str; 44] = [
        "../",
        "..\\",
        "/",
        "\\",
        "C:",
        "\0",
        "\n",
        "\r",
        "\t",
        " ",
        "\u{a0}",
        "\u{3000}",
        ".",
        "..",
        "~$",
        "~",
        "CON",
        "nul",
        "COM1",
        ".lock",
        "_vti_",
        "desktop.ini",
        "forms",
        "\u{202e}",
        "\u{200b}",
        "\u{feff}",
        "\u{301}",
        "e\u{301}",
        "é",
        "ß",
        "SS",
        "İ",
        "ı",
        "ς",
        "Σ",
        "👩‍👩‍👧",
        "🇳🇿",
        "＜",
        "<",
        "|",
        "Acme",
        "ACME",
        "\u{fdfa}",
        "\u{10ffff}",
    ];
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let long = if next() % 9 == 0 { 200 } else { 6 };
    (0..=next() % long).map(|_| PIECES[next() % PIECES.len()]).collect()
}

#[test]
fn n04_to_n11_two_thousand_hostile_names() {
    let mut taken = BTreeSet::new();
    for n in 0..2000 {
        let given = hostile(n);
        let client = id(u128::from(n));
        let plain = component(&given, &client);
        is_safe(&plain).unwrap();
        assert_eq!(component(&plain, &client), plain, "not idempotent for {given:?}");
        let name = assign(&taken, &given, &client);
        is_safe(&name).unwrap();
        assert!(taken.insert(unique_key(&name)), "{name:?} twice");
    }
}

proptest! {
    #[test]
    fn n04_any_text_is_one_safe_component(text in any::<String>(), n in any::<u64>()) {
        let name = component(&text, &id(u128::from(n)));
        prop_assert!(is_safe(&name).is_ok(), "{:?}", is_safe(&name));
        prop_assert_eq!(component(&name, &id(u128::from(n))), name);
    }

    #[test]
    fn n09_never_two_clients_in_one_folder(texts in proptest::collection::vec("[aAäÄ\u{308}ſsSßiİı ./:~]{0,5}", 1..40)) {
        let mut taken = BTreeSet::new();
        for (n, text) in texts.iter().enumerate() {
            let name = assign(&taken, text, &id(n as u128));
            prop_assert!(is_safe(&name).is_ok(), "{:?}", is_safe(&name));
            prop_assert!(taken.insert(unique_key(&name)));
        }
    }

    #[test]
    fn a_part_never_has_a_separator(text in any::<String>()) {
        let part = part(&text, "0000beef");
        prop_assert!(part.len() <= 90 && !part.contains(['/', '\\', '\0']) && part.trim() == part);
    }

    #[test]
    fn the_key_of_a_key_is_itself(text in any::<String>()) {
        let key = unique_key(&text);
        prop_assert_eq!(unique_key(&key), key);
    }
}
