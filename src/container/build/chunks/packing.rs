//! Decides which packages share a layer.
//!
//! ```text
//! enough layers         one for each component
//! too few               units by size:  ████████ │ ████ ███ │ ██ ██ █ │ █ ▪ ▪ ▪ · · · · ·     few │ … │ many
//!                       a unit is one component, or all of one source: whichever sends less
//! there is an image     everything stays where it is; what is new goes to the end
//! ```
//! If any one of the units changes as likely as any other, the bytes to be sent again are, in the mean, the sum
//! over all layers of units × bytes. The least sum has layers that are runs of the units sorted by size; which
//! runs is found exactly. Packages of one source are mostly upgraded together, but not always: of the two ways
//! to make units, that one is taken whose layers send less if both happen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::container::build::chunks::Component;

/// Layers, each with the components in it (by number), which are at most `max_layers`.
pub(super) fn pack(components: &[Component], max_layers: usize) -> Vec<Vec<usize>> {
    if components.len() <= max_layers {
        return by_size(components, (0..components.len()).map(|n| vec![n]).collect());
    }
    // The last one is left for packages that are new in the next image.
    let layers = max_layers.saturating_sub(1).max(1);
    let mut sources: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, component) in components.iter().enumerate() {
        sources.entry(&component.unit).or_default().push(number);
    }
    let together = cut(components, sources.into_values().collect(), layers);
    let alone = cut(components, (0..components.len()).map(|n| vec![n]).collect(), layers);
    let cost = |layers: &[Vec<usize>]| layers.iter().map(|layer| resent(components, layer)).sum::<u128>();
    if cost(&alone) < cost(&together) { alone } else { together }
}

/// The units in so many layers.
fn cut(components: &[Component], units: Vec<Vec<usize>>, layers: usize) -> Vec<Vec<usize>> {
    let units = by_size(components, units);
    if units.len() <= layers {
        return units;
    }
    let sizes: Vec<_> = units.iter().map(|unit| bytes(components, unit)).collect();
    let mut units = units.into_iter();
    runs(&sizes, layers).into_iter().map(|run| units.by_ref().take(run).flatten().collect()).collect()
}

/// The bytes of a layer that are sent again if each component changes once alone, and each source once.
fn resent(components: &[Component], layer: &[usize]) -> u128 {
    let sources: HashSet<_> = layer.iter().map(|n| &components[*n].unit).collect();
    u128::from(bytes(components, layer)) * (layer.len() + sources.len()) as u128
}

/// Packs components into layers so that few change: the image before had the layers `previous`, with these
/// components.
pub(super) fn repack(
    components: &[Component],
    previous: &[Vec<String>],
    max_layers: usize,
) -> Vec<Vec<usize>> {
    let mut places = HashMap::new();
    for (layer, names) in previous.iter().enumerate() {
        for name in names {
            places.entry(name.as_str()).or_insert(layer);
        }
    }
    let (mut layers, mut new) = (vec![Vec::new(); previous.len()], Vec::new());
    for (number, component) in components.iter().enumerate() {
        match places.get(component.name.as_str()) {
            Some(layer) => layers[*layer].push(number),
            None => new.push(vec![number]),
        }
    }
    layers.retain(|layer| !layer.is_empty());
    if layers.is_empty() || layers.len() > max_layers {
        return pack(components, max_layers);
    }
    let room = max_layers - layers.len();
    let mut new = by_size(components, new);
    if new.len() > room {
        // Those for which no layer is left share the last one.
        let rest = new.split_off(room.saturating_sub(1)).concat();
        match layers.last_mut() {
            Some(last) if room == 0 => last.extend(rest),
            _ => new.push(rest),
        }
    }
    layers.append(&mut new);
    layers
}

fn bytes(components: &[Component], numbers: &[usize]) -> u64 {
    numbers.iter().map(|n| components[*n].bytes).sum()
}

/// Largest first; those of the same size by name.
fn by_size(components: &[Component], mut layers: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let first = |layer: &[usize]| layer.first().map(|n| components[*n].name.clone());
    layers.sort_by_cached_key(|layer| (Reverse(bytes(components, layer)), first(layer)));
    layers
}

/// Cuts `sizes`, which are sorted, into `count` runs so that the sum of length × bytes over all runs is the
/// least there is; gives their lengths.
fn runs(sizes: &[u64], count: usize) -> Vec<usize> {
    let n = sizes.len();
    let mut sums = vec![0u128];
    for size in sizes {
        sums.push(sums.last().copied().unwrap_or(0) + u128::from(*size));
    }
    // The best for the first `i` units in one run, then in two and so on; and where the last run begins.
    let mut best: Vec<u128> = (0..=n).map(|i| i as u128 * sums[i]).collect();
    let mut begins: Vec<Vec<u32>> = vec![vec![0; n + 1]];
    for _ in 1..count {
        let mut step = Step { sums: &sums, before: &best, best: vec![0; n + 1], begin: vec![0; n + 1] };
        step.solve(1, n, 0, n);
        let Step { best: next, begin, .. } = step;
        best = next;
        begins.push(begin);
    }
    let mut lengths = Vec::new();
    let mut end = n;
    for begin in begins.iter().rev() {
        let start = begin[end] as usize;
        lengths.push(end - start);
        end = start;
    }
    lengths.retain(|length| *length > 0);
    lengths.reverse();
    lengths
}

/// One more run. For more units, the last run never begins earlier, so the middle tells both halves where to
/// look.
struct Step<'a> {
    sums: &'a [u128],
    before: &'a [u128],
    best: Vec<u128>,
    begin: Vec<u32>,
}

impl Step<'_> {
    fn solve(&mut self, low: usize, high: usize, first: usize, last: usize) {
        if low > high {
            return;
        }
        let middle = usize::midpoint(low, high);
        let cost = |start: usize| {
            self.before[start] + (middle - start) as u128 * (self.sums[middle] - self.sums[start])
        };
        let begins = first..=last.min(middle);
        let (best, begin) = begins.map(|start| (cost(start), start)).min().unwrap_or((0, first));
        self.best[middle] = best;
        self.begin[middle] = begin as u32;
        self.solve(low, middle - 1, first, begin);
        self.solve(middle + 1, high, begin, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways to cut, tried out.
    fn least(sizes: &[u64], count: usize) -> u128 {
        let run = |part: &[u64]| part.len() as u128 * part.iter().map(|s| u128::from(*s)).sum::<u128>();
        if count == 1 {
            return run(sizes);
        }
        (0..=sizes.len()).map(|at| run(&sizes[..at]) + least(&sizes[at..], count - 1)).min().unwrap()
    }

    #[test]
    fn runs_are_the_best_there_are() {
        let mut seed = 1u64;
        for n in 1..9 {
            for count in 1..=n {
                let mut sizes: Vec<u64> = (0..n)
                    .map(|_| {
                        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        (seed >> 40) >> (seed >> 59)
                    })
                    .collect();
                sizes.sort_by_key(|s| Reverse(*s));
                let lengths = runs(&sizes, count);
                assert!(lengths.len() <= count && lengths.iter().sum::<usize>() == n);
                let (mut rest, mut cost) = (&sizes[..], 0);
                for length in lengths {
                    let (run, after) = rest.split_at(length);
                    cost += length as u128 * run.iter().map(|s| u128::from(*s)).sum::<u128>();
                    rest = after;
                }
                assert_eq!(cost, least(&sizes, count), "{sizes:?} in {count}");
            }
        }
    }

    fn components(names: &[(&str, &str, u64)]) -> Vec<Component> {
        let component = |(name, unit, bytes): &(&str, &str, u64)| Component {
            id: (*name).to_owned(),
            name: (*name).to_owned(),
            unit: (*unit).to_owned(),
            bytes: *bytes,
            files: Vec::new(),
        };
        names.iter().map(component).collect()
    }

    fn names(components: &[Component], layers: &[Vec<usize>]) -> Vec<Vec<String>> {
        let name = |n: &usize| components[*n].name.clone();
        layers.iter().map(|layer| layer.iter().map(name).collect()).collect()
    }

    #[test]
    fn what_is_known_stays() {
        let old = components(&[("a", "a", 9), ("b", "b", 8), ("c", "s", 3), ("d", "s", 2), ("e", "e", 1)]);
        assert_eq!(pack(&old, 5).len(), 5);
        let packed = names(&old, &pack(&old, 4));
        assert_eq!(packed, [vec!["a"], vec!["b"], vec!["c", "d", "e"]]);
        // The large one of a source does not change with the others; if all are as large, sources stay together.
        let five = components(&[("a", "s", 9), ("b", "s", 8), ("c", "s", 7), ("d", "t", 3), ("e", "t", 2)]);
        assert_eq!(names(&five, &pack(&five, 4)), [vec!["a"], vec!["b", "c"], vec!["d", "e"]]);
        let six = [("a", "s", 9), ("b", "t", 9), ("c", "u", 9), ("d", "t", 9), ("e", "u", 9), ("f", "s", 9)];
        let six = components(&six);
        assert_eq!(names(&six, &pack(&six, 4)), [vec!["a", "f"], vec!["b", "d"], vec!["c", "e"]]);
        let new = components(&[("a0", "a", 90), ("b", "b", 1), ("d", "s", 2), ("e", "e", 7), ("x", "x", 1)]);
        let repacked = names(&new, &repack(&new, &packed, 4));
        assert_eq!(repacked, [vec!["b"], vec!["d", "e"], vec!["a0"], vec!["x"]]);
        assert_eq!(names(&new, &repack(&new, &packed, 3)), [vec!["b"], vec!["d", "e"], vec!["a0", "x"]]);
        assert_eq!(names(&new, &repack(&new, &packed, 2)), [vec!["b"], vec!["d", "e", "a0", "x"]]);
        assert_eq!(repack(&new, &packed, 1).len(), 1);
    }
}
