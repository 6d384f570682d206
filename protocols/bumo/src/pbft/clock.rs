//! Does what is due, and says when something will be (BUMO spec, section 7.7).
//!
//! The original has a timer for each instance besides the view's. It starts later and is as long, so that it is never
//! the first to end and is left out here.

use super::Pbft;
use polypeer_engine::Time;

/// What can fall due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Propose,
    EndView,
    RepeatProposal,
    RepeatCommit,
    RepeatChange,
    GiveUpPrimary,
    GiveUpView,
    RepeatNewView,
}

impl Due {
    const ALL: [Self; 8] = [
        Self::Propose,
        Self::EndView,
        Self::RepeatProposal,
        Self::RepeatCommit,
        Self::RepeatChange,
        Self::GiveUpPrimary,
        Self::GiveUpView,
        Self::RepeatNewView,
    ];
}

impl Pbft {
    /// When [`Pbft::tick`] is to be called next; nothing if only a message can change something. It may have changed
    /// after each call of any other function.
    pub fn alarm(&self) -> Option<Time> {
        Due::ALL.into_iter().filter_map(|due| self.due(due)).min()
    }

    /// Does all that is due. Too early is as good as never.
    pub fn tick(&mut self, now: Time) {
        for due in Due::ALL {
            if self.due(due).is_some_and(|at| at <= now) {
                self.do_due(now, due);
            }
        }
    }

    fn due(&self, due: Due) -> Option<Time> {
        let timers = &self.settings.timers;
        let is_active = self.change.is_none() && self.closing.is_none();
        match due {
            Due::Propose => Some(self.propose_from()).filter(|_| self.waits_to_propose()),
            Due::EndView => self.view_ends,
            Due::RepeatProposal => {
                let proposal = self.instance.proposal.as_ref()?;
                let is_own = self.own.is_some_and(|own| self.roster.is_primary(own, self.view));
                (is_own && is_active).then(|| proposal.at + timers.repeat_proposal)
            }
            Due::RepeatCommit => {
                let (_, at) = self.instance.committed_in.filter(|_| is_active)?;
                Some(at + timers.repeat_commit)
            }
            Due::RepeatChange => self.change.as_ref().map(|change| change.asked_at + timers.repeat_change),
            Due::GiveUpPrimary => Some(self.change.as_ref()?.waits_since? + timers.view),
            Due::GiveUpView => Some(self.change.as_ref()?.outgrown_since? + timers.repeat_proposal),
            Due::RepeatNewView => self.opened.as_ref().map(|opened| opened.at + timers.repeat_new_view),
        }
    }

    fn do_due(&mut self, now: Time, due: Due) {
        match due {
            Due::Propose => self.propose(now),
            Due::EndView => {
                self.view_ends = None;
                self.start_change(now, self.view + 1);
            }
            Due::RepeatProposal => {
                let Some(proposal) = &mut self.instance.proposal else { return };
                proposal.at = now;
                let (value, digest, judgement) = (proposal.value.clone(), proposal.digest, proposal.judgement);
                let round = proposal.round + 1;
                self.vote_proposal(value, digest, round, judgement);
            }
            Due::RepeatCommit => {
                let Some((round, _)) = self.instance.committed_in else { return };
                self.vote_commit(now, round + 1);
            }
            Due::RepeatChange => self.repeat_change(now),
            Due::GiveUpPrimary | Due::GiveUpView => {
                let Some(change) = &mut self.change else { return };
                (change.waits_since, change.outgrown_since) = (None, None);
                let next = change.target + 1;
                self.start_change(now, next);
            }
            Due::RepeatNewView => self.repeat_new_view(now),
        }
    }

    // Whether only the time is missing for a proposal of ours.
    fn waits_to_propose(&self) -> bool {
        let is_turn = self.own.is_some_and(|own| self.roster.is_primary(own, self.view));
        let is_free = self.change.is_none() && self.closing.is_none() && self.instance.proposal.is_none();
        let is_asked =
            self.proposing.is_some() || self.is_asked(|what| matches!(what, super::voting::What::Proposal { .. }));
        is_turn && is_free && !is_asked && self.may_propose()
    }
}
