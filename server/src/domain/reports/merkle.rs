//! One digest over the hashes of many events, in order, as RFC 6962 builds it: leaves and nodes are hashed apart.

use nestwarden_policy_schema::bytes::Digest;

const LEAF: &str = "nestwarden/report-leaf/v1";
const NODE: &str = "nestwarden/report-node/v1";
const EMPTY: &str = "nestwarden/report-empty/v1";

/// Takes leaves one after the other and keeps no more than one node of each height.
#[derive(Clone, Debug, Default)]
pub(super) struct Merkle {
    /// The lowest last: each with how many leaves are below it.
    nodes: Vec<(u64, Digest)>,
}

impl Merkle {
    pub(super) fn add(&mut self, leaf: &[u8]) {
        let mut count = 1;
        let mut node = Digest::of_parts(LEAF, &[leaf]);
        while let Some((_, left)) = self.nodes.pop_if(|(below, _)| *below == count) {
            node = joined(&left, &node);
            count *= 2;
        }
        self.nodes.push((count, node));
    }

    pub(super) fn root(&self) -> Digest {
        let nodes = self.nodes.iter().rev().map(|(_, node)| *node);
        nodes
            .reduce(|right, left| joined(&left, &right))
            .unwrap_or_else(|| Digest::of_parts(EMPTY, &[]))
    }
}

fn joined(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(NODE, &[&left.0, &right.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the RFC defines it.
    fn defined(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Digest::of_parts(EMPTY, &[]),
            [leaf] => Digest::of_parts(LEAF, &[leaf]),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                joined(&defined(left), &defined(right))
            }
        }
    }

    #[test]
    fn the_root_is_the_one_of_the_rfc_for_any_number_of_leaves() {
        let mut merkle = Merkle::default();
        let mut leaves = Vec::new();
        for number in 0..40_u8 {
            assert_eq!(merkle.root(), defined(&leaves), "{number} leaves");
            leaves.push(vec![number; 3]);
            merkle.add(&[number; 3]);
        }
    }
}
