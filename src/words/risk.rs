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

/// Why a request of a class is asked about: what it would mean, in ally's own words.
pub fn risk_why(class: Class, lang: Lang) -> &'static str {
    let (zh, en) = match class {
        Class::Read => ("为什么问：这里每一步都先问", "Why asked: every step is asked about here"),
        Class::Write => ("为什么问：会改动项目里的文件", "Why asked: it changes files of the project"),
        Class::Autorun => ("为什么问：改的文件以后会自己运行", "Why asked: what it changes runs by itself later"),
        Class::ReadOut => ("为什么问：会读到项目以外的内容", "Why asked: it reads what lies outside the project"),
        Class::Secret => ("为什么拒绝：密钥不给任何人看", "Why refused: secrets are shown to nobody"),
        Class::WriteOut => {
            ("为什么问：沙箱外，以电脑主人的身份运行", "Why asked: outside the sandbox it runs with the owner's rights")
        }
        Class::Fetch => ("为什么问：会从网上取东西", "Why asked: it loads something from the network"),
        Class::Publish => ("为什么问：别人会看到，不能自动撤回", "Why asked: others will see it, it cannot be undone"),
        Class::Destroy => ("为什么问：删掉的可能找不回来", "Why asked: what it removes may not come back"),
        Class::Privilege => (
            "为什么问：会得到更多权限，或改动看管它的东西",
            "Why asked: it takes more rights, or changes what watches it",
        ),
        Class::Unknown => ("为什么问：看不出它会做什么", "Why asked: what it does cannot be told from its words"),
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
                rules::check(class.as_str(), risk_why(class, lang), lang);
                let same = Class::ALL.into_iter().filter(|other| risk(*other, lang) == risk(class, lang)).count();
                assert_eq!(same, 1, "{class:?} is called like another");
            }
        }
    }
}
