//! Open-loop load over the wire: driver, recorder, report. It never links the gateway.
