//! Imagines: the same engines in a seeded world.
