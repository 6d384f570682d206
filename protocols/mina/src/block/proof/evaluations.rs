//! What the step proof's polynomials evaluate to.

use crate::binprot::{Fp, Seq, Vector, record};

/// A column at zeta, and at the point behind it; one value for each chunk of the polynomial.
pub type Column<'a> = (Seq<'a, Fp, 16>, Seq<'a, Fp, 16>);

record! {
    /// What the step proof's polynomials evaluate to.
    Evaluations<'a> {
        /// The public input, at both points.
        public_input: (Fp, Fp),
        /// The columns.
        columns: Columns<'a>,
        /// The linearised polynomial at the second point.
        ft: Fp,
    }
}

record! {
    /// The columns of a circuit.
    Columns<'a> {
        /// Witnesses.
        w: Vector<'a, Column<'a>, 15>,
        /// Coefficients.
        coefficients: Vector<'a, Column<'a>, 15>,
        /// The permutation's product.
        z: Column<'a>,
        /// Permutations.
        s: Vector<'a, Column<'a>, 6>,
        /// Where the generic gate is.
        generic: Column<'a>,
        /// Where Poseidon is.
        poseidon: Column<'a>,
        /// Where points are added.
        complete_add: Column<'a>,
        /// Where points are multiplied.
        mul: Column<'a>,
        /// Where points are multiplied by an endomorphism.
        emul: Column<'a>,
        /// Where scalars are.
        endomul_scalar: Column<'a>,
        /// Where the first half of a range check is.
        range_check0: Option<Column<'a>>,
        /// Where the second half of a range check is.
        range_check1: Option<Column<'a>>,
        /// Where addition in a foreign field is.
        foreign_field_add: Option<Column<'a>>,
        /// Where multiplication in a foreign field is.
        foreign_field_mul: Option<Column<'a>>,
        /// Where exclusive or is.
        xor: Option<Column<'a>>,
        /// Where rotation is.
        rot: Option<Column<'a>>,
        /// The look-ups' product.
        lookup_aggregation: Option<Column<'a>>,
        /// The table that is looked up in.
        lookup_table: Option<Column<'a>>,
        /// What is looked up, in order.
        lookup_sorted: Vector<'a, Option<Column<'a>>, 5>,
        /// The table that was made while proving.
        runtime_lookup_table: Option<Column<'a>>,
        /// Where that table is.
        runtime_lookup_table_selector: Option<Column<'a>>,
        /// Where exclusive or looks up.
        xor_lookup: Option<Column<'a>>,
        /// Where the look-up gate looks up.
        lookup_gate_lookup: Option<Column<'a>>,
        /// Where range checks look up.
        range_check_lookup: Option<Column<'a>>,
        /// Where multiplication in a foreign field looks up.
        foreign_field_mul_lookup: Option<Column<'a>>,
    }
}
