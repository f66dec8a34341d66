//! When two names are one, and which names are accounts'.
//!
//! Names that look alike to whoever reads quickly are one: written small or large, in whichever of Unicode's forms, with invisible
//! characters between or without. (Unicode calls it `NFKC_Casefold`; look-alike letters of other scripts stay apart.)

use std::sync::Arc;

use proto::{Code, PersonName, Refusal};
use store::Accounts;
use tokio::sync::{mpsc, oneshot};
use unicode_normalization::UnicodeNormalization;

use crate::refusals;

/// Names that may wait to be looked up.
const WAITING_MAX: usize = 8_192;
/// Names in one query.
const TOGETHER_MAX: usize = 512;

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

struct Asked {
    key: String,
    answer: oneshot::Sender<Result<bool, Refusal>>,
}

/// Who asks the store whether names are taken: while one query is under way names gather, then they go together. So a storm of
/// guests costs the store a query for each five hundred of them.
pub(crate) struct Names {
    waiting: mpsc::Sender<Asked>,
}

/// The other end of it.
pub(crate) struct Queue(mpsc::Receiver<Asked>);

impl Names {
    pub(crate) fn new() -> (Self, Queue) {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        (Self { waiting }, Queue(queue))
    }

    /// Refuses a name that is an account's.
    pub(crate) async fn must_be_free(&self, name: &PersonName) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { key: key(name), answer };
        self.waiting.try_send(asked).map_err(|_| refusals::busy())?;
        match answered.await.map_err(|_| refusals::leaving())?? {
            true => Err(refusals::name_taken()),
            false => Ok(()),
        }
    }
}

/// Looks up what is asked, for ever.
pub(crate) async fn look_up(mut queue: Queue, accounts: Arc<dyn Accounts>) {
    let mut batch = Vec::new();
    while queue.0.recv_many(&mut batch, TOGETHER_MAX).await > 0 {
        batch.retain(|asked| !asked.answer.is_closed());
        let mut keys: Vec<String> = batch.iter().map(|asked| asked.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            continue;
        }
        let taken = accounts.taken(&keys).await;
        for Asked { key, answer } in batch.drain(..) {
            let told = match &taken {
                Ok(taken) => Ok(taken.contains(&key)),
                Err(error) => Err(refusals::away(error)),
            };
            // Whoever asked may have left.
            _ = answer.send(told);
        }
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
