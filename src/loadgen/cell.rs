//! One shape of load.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub connections: usize,
    /// Unanswered requests of each connection; under an open loop its simulators.
    pub in_flight: usize,
    /// Observations of each request.
    pub rows: usize,
}

impl Cell {
    /// One simulator alone, a fleet of them, a fleet that asks ahead, and one connection for many.
    pub const STANDARD: [Cell; 4] = [
        Cell { connections: 1, in_flight: 1, rows: 1 },
        Cell { connections: 64, in_flight: 1, rows: 1 },
        Cell { connections: 64, in_flight: 16, rows: 1 },
        Cell { connections: 1, in_flight: 1024, rows: 1 },
    ];
    /// Each with a connection of its own.
    pub const FLEET: Cell = Cell::STANDARD[1];

    pub fn simulators(self) -> usize {
        self.connections * self.in_flight
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.connections, self.in_flight)?;
        if self.rows == 1 { Ok(()) } else { write!(f, ", {} rows", self.rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_names_its_rows_only_where_there_are_several() {
        assert_eq!(Cell::STANDARD[3].to_string(), "1x1024");
        let cell = Cell { connections: 2, in_flight: 3, rows: 16 };
        assert_eq!((cell.to_string().as_str(), cell.simulators()), ("2x3, 16 rows", 6));
    }
}
