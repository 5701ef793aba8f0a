//! What is legal in the settings, and worth a warning.

use super::resolved::RuntimeConfig;
use crate::domain::view::Lang;

/// What in the runtime's settings weakens or replaces the sandbox.
pub(super) fn warnings(runtime: &RuntimeConfig, lang: Lang) -> Vec<String> {
    let RuntimeConfig::Codex(codex) = runtime else { return Vec::new() };
    let say = |zh: &str, en: &str| if lang == Lang::Zh { zh.to_owned() } else { en.to_owned() };
    let mut warnings = Vec::new();
    if codex.sandbox.is_some() || codex.approval_policy.is_some() {
        warnings.push(say(
            "[runtime.codex] 里写了 sandbox 或 approval_policy：以它们为准，自主程度不起作用。删掉这两行即可恢复",
            "[runtime.codex] sets sandbox or approval_policy: they hold instead, and levels do not. Remove the lines to have levels again",
        ));
    }
    if codex.sandbox.as_deref() == Some("danger-full-access") {
        warnings.push(say(
            "[runtime.codex] sandbox = \"danger-full-access\"：没有沙箱，你能做的它都能做",
            "[runtime.codex] sandbox = \"danger-full-access\": no sandbox, the agent can do whatever you can",
        ));
    }
    if codex.approval_policy.as_deref() == Some("never") {
        warnings.push(say(
            "[runtime.codex] approval_policy = \"never\"：运行命令前不问任何人",
            "[runtime.codex] approval_policy = \"never\": nobody is asked before a command runs",
        ));
    }
    warnings
}
