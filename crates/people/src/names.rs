//! When two names are one.
//!
//! Names that look alike to whoever reads quickly are one: written small or large, in whichever of Unicode's forms, with invisible
//! characters between or without. (Unicode calls it `NFKC_Casefold`; look-alike letters of other scripts stay apart.)

use proto::{Code, PersonName, Refusal};
use unicode_normalization::UnicodeNormalization;

/// The name as names are compared.
pub(crate) fn key(name: &PersonName) -> String {
    let form = |text: &str| text.nfkc().filter(|c| !is_ignorable(*c)).collect::<String>();
    // Upper first, letter by letter: some small letters have one large one in common.
    let folded: String =
        form(name.as_str()).chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    form(&folded).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that most programs do not show (`Default_Ignorable_Code_Point`), as far as a name may hold them.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The key of a name that is to be an account's.
pub(crate) fn key_of_account(name: &PersonName) -> Result<String, Refusal> {
    let key = key(name);
    match key.is_empty() {
        true => Err(Refusal::new(Code::InvalidName, "a name must have something to see in it")),
        false => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(name: &str) -> String {
        key(&PersonName::parse(name).unwrap())
    }

    #[test]
    fn names_that_look_alike_are_one() {
        for alike in [
            ["Ana", "ANA"],
            ["Ana", "ana\u{fe0f}"],
            ["Ana María", "ana  mari\u{301}a"],
            ["José", "jose\u{301}"],
            ["Straße", "STRASSE"],
            ["ΟΔΥΣΣΕΥΣ", "οδυσσευς"],
            ["Ａｎａ", "ana"],
            ["ﬁn", "FIN"],
            ["Ana\u{a0}B", "ana b"],
            ["K\u{212a}", "kk"],
        ] {
            assert_eq!(folded(alike[0]), folded(alike[1]), "{alike:?}");
        }
        assert_eq!(folded(&folded("ŐİǄ ﬀ")), folded("ŐİǄ ﬀ"));
    }

    #[test]
    fn names_that_differ_stay_apart() {
        for apart in [["Ana", "Anna"], ["Ana", "Aña"], ["Ana B", "AnaB"], ["a", "а"]] {
            assert_ne!(folded(apart[0]), folded(apart[1]), "{apart:?}");
        }
    }

    #[test]
    fn nothing_to_see_is_no_name_for_an_account() {
        let name = PersonName::parse("\u{3164}").unwrap();
        assert_eq!(key_of_account(&name).map_err(|refusal| refusal.code), Err(Code::InvalidName));
    }
}
