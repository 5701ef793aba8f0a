//! What must be true of a ledger, in words.

use crate::domain::invariant::Invariant;
use crate::domain::view::Lang;

/// An invariant as a sentence that is true where it holds.
pub fn invariant(which: Invariant, lang: Lang) -> &'static str {
    use Invariant::*;
    let (zh, en) = match which {
        FileWhole => ("文件完整", "the file is whole"),
        ReferencesExist => ("每处引用都有对应的行", "every reference leads to a row"),
        ColumnsReadable => ("存下的内容都读得出来", "what is stored can be read"),
        OneActiveTurn => ("一个会话同时最多运行一个任务", "a conversation runs one task at a time"),
        ActiveWasSubmitted => ("运行中的任务都记着交给了谁", "a running task says to whom it was handed"),
        ClientIdFits => ("每次提交都有自己的编号", "every submission has an id of its own"),
        QueuedIsNowhere => ("排队的任务没有交给任何进程", "a queued task is with no process"),
        SettledHasTime => ("结束的任务都有结果和时间", "a task that is over has an outcome and a time"),
        CompletedWasTold => ("完成的任务都有要发出的回答", "a task that is done has an answer to send"),
        LostWasTold => ("中断的任务都有卡片说明", "a task that was cut off has a card that says so"),
        WaitingHasGate => ("等人的任务都有请求", "a task that waits for a person has a request"),
        GateHasWaitingTurn => ("未完的请求都属于等人的任务", "an open request belongs to a task that waits for it"),
        GateColumnsFit => ("请求的状态和决定相符", "a request's state fits its decision"),
        GateOfLivingProcess => ("未完的请求不属于已结束的进程", "no open request is of a process that has ended"),
        GateHasCard => ("未决的请求都有卡片", "an open request has a card"),
        GateCardEnds => ("请求结束了，卡片也不再问", "a card stops asking when its requests are over"),
        LiveCardHasTurn => ("任务结束了，卡片不再说在运行", "no card says that a task runs that is over"),
        QueueCardHasTurn => {
            ("没有任务在排队，卡片也不说在排队", "no card says that something waits where nothing does")
        }
        PartsInOrder => ("分段的回答按顺序发出", "the parts of an answer leave in order"),
        MessageColumnsFit => ("要发的消息状态相符", "a message's state fits what is known of it"),
        SurfaceColumnsFit => ("卡片的状态相符", "a card's state fits what is known of it"),
        OneLivingProcess => ("同一个代理只有一个进程在运行", "an agent has one process at a time"),
        InboundLeads => ("收到的消息都有去处", "what came in leads somewhere"),
        InboundHasWords => ("没处理完的消息都留着内容", "what is not done yet has its words"),
        RefusedHasNoWords => ("不该收的消息没有留下内容", "what was not for ally left no words"),
        SteersEnd => ("补充的话随任务一起有结果", "added words end with their task"),
        HeldSaysWhy => ("暂停的会话都记着原因", "a held conversation says why"),
        ButtonsLead => ("按钮都有对应的请求或任务", "a button leads to a request or a task"),
        TaskRulesEnd => ("只对一个任务有效的规则随它结束", "a rule for one task ends with it"),
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
    fn invariants_keep_the_rules() {
        for lang in [Lang::Zh, Lang::En] {
            for which in Invariant::ALL {
                rules::check(&format!("{which:?}"), invariant(which, lang), lang);
            }
        }
    }
}
