//! What settings and their values are called.

use crate::domain::setting::Setting;
use crate::domain::view::Lang;

/// A setting's name.
pub fn setting(setting: Setting, lang: Lang) -> &'static str {
    let (zh, en) = match setting {
        Setting::Autonomy => ("自主程度", "Autonomy"),
        Setting::Busy => ("忙时", "When busy"),
        Setting::Noise => ("安静", "Noise"),
        Setting::Model => ("模型", "Model"),
        Setting::Effort => ("强度", "Effort"),
        Setting::Language => ("语言", "Language"),
        Setting::Directory => ("目录", "Folder"),
        Setting::TwoPersons => ("对外发布", "Acting on others"),
        Setting::CatchUp => ("补看聊天", "Catch-up"),
    };
    pick(lang, zh, en)
}

/// A value as people choose it; what has no words of ally's (a model's name) stands for itself.
pub fn setting_value(setting: Setting, value: &str, lang: Lang) -> String {
    let (zh, en) = match (setting, value) {
        (Setting::Autonomy, "ask") => ("每步都问", "Ask every step"),
        (Setting::Autonomy, "safe") => ("先问再改", "Ask before changes"),
        (Setting::Autonomy, "edit") => ("项目内可改", "May edit the project"),
        (Setting::Autonomy, "trusted") => ("少问（8 小时后结束）", "Rarely ask (ends after 8 h)"),
        (Setting::Busy, "queue") => ("排队", "Queue"),
        (Setting::Busy, "steer") => ("插话", "Steer"),
        (Setting::Busy, "reject") => ("拒收", "Reject"),
        (Setting::Noise, "full") => ("完整", "Full"),
        (Setting::Noise, "normal") => ("普通", "Normal"),
        (Setting::Noise, "quiet") => ("只发答案", "Answers only"),
        (Setting::TwoPersons, "true") => ("由另一个人批准", "Somebody else must allow it"),
        (Setting::TwoPersons, "false") => ("提出的人也能批准", "Who asked may allow it"),
        (Setting::CatchUp, "off") => ("不补看", "Off"),
        (Setting::CatchUp, "20") => ("上次以来最近 20 条", "The last 20 since its last task"),
        (Setting::CatchUp, "50") => ("上次以来最近 50 条", "The last 50 since its last task"),
        _ => return value.to_owned(),
    };
    pick(lang, zh, en).to_owned()
}

fn pick(lang: Lang, zh: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_own_words() {
        for lang in [Lang::Zh, Lang::En] {
            for of in Setting::CHOSEN {
                let words: Vec<String> = of.values().iter().map(|value| setting_value(of, value, lang)).collect();
                assert!(of.values().iter().zip(&words).all(|(value, words)| lang == Lang::En || value != words));
                let mut unique = words.clone();
                unique.sort();
                unique.dedup();
                assert_eq!(unique.len(), words.len(), "{of:?}");
            }
        }
    }
}
