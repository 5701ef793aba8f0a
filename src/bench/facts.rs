//! Numbers of a distribution.

use std::time::Duration;

use super::{Figure, figure};

/// Milliseconds, sorted.
#[derive(Debug, Clone)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn of(mut ms: Vec<f64>) -> Self {
        ms.sort_by(f64::total_cmp);
        Self(ms)
    }

    pub fn of_times(took: &[Duration]) -> Self {
        Self::of(took.iter().map(|one| one.as_secs_f64() * 1e3).collect())
    }

    /// 0 of nothing.
    pub fn at(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }

    pub fn p50(&self) -> f64 {
        self.at(50)
    }

    pub fn p99(&self) -> f64 {
        self.at(99)
    }

    pub fn max(&self) -> f64 {
        self.at(100)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn figures(&self, name: &str) -> Vec<Figure> {
        [("p50", self.p50()), ("p90", self.at(90)), ("p99", self.p99()), ("max", self.max())]
            .map(|(which, ms)| figure(format!("{name}_{which}_ms"), ms))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_middle_and_its_end() {
        let spread = Spread::of((1..=200).rev().map(f64::from).collect());
        assert_eq!((spread.p50(), spread.p99(), spread.max()), (101.0, 199.0, 200.0));
        assert_eq!(Spread::of(Vec::new()).max(), 0.0);
    }
}
