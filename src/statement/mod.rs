pub mod model;
pub mod money;
pub mod period;
