"""Ripple files: a header (.rpl) beside a flat array (.raw), and the calibration beside both."""
