//! What the classes of risk are called on a card.

use crate::domain::risk::Class;
use crate::domain::view::Lang;

/// A class in a few words, without a subject.
pub fn risk(class: Class, lang: Lang) -> &'static str {
    let (zh, en) = match class {
        Class::Read => ("读项目", "reads the project"),
        Class::Write => ("改项目", "changes the project"),
        Class::Autorun => ("改会自动运行的文件", "changes files that run by themselves"),
        Class::ReadOut => ("读项目外", "reads outside the project"),
        Class::Secret => ("读密钥", "reads secrets"),
        Class::WriteOut => ("改项目外", "changes things outside"),
        Class::Fetch => ("联网下载", "downloads"),
        Class::Publish => ("对外发布", "acts on others"),
        Class::Destroy => ("可能无法恢复", "may be irreversible"),
        Class::Privilege => ("提权", "more rights"),
        Class::Unknown => ("无法判断", "cannot be judged"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::rules;

    #[test]
    fn classes_keep_the_rules() {
        for lang in [Lang::Zh, Lang::En] {
            for class in Class::ALL {
                rules::check(class.as_str(), risk(class, lang), lang);
                let same = Class::ALL.into_iter().filter(|other| risk(*other, lang) == risk(class, lang)).count();
                assert_eq!(same, 1, "{class:?} is called like another");
            }
        }
    }
}
