//! Holds per-device profiles and consents for a nursery setting and produces what its safeguarding lead signs.
