//! The open press of each device: which alert its next raise joins, and until when. 40 bytes a device.
//!
//! A press is open for the policy's window after the device's last raise that belongs to it. A held raise opens none,
//! because nobody was paged for it, and a block closes the open one; so the first raise after a block is a first press.

use protocol::AlertId;

use crate::{DeviceIndex, Span, Time};

#[derive(Debug, Default)]
pub(crate) struct Presses {
    devices: Vec<Press>,
}

/// What a raise joins, and with it the incident that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) alert: AlertId,
    pub(crate) incident: AlertId,
}

/// A device's last press.
#[derive(Debug, Clone, Copy)]
struct Press {
    open: Open,
    /// Its last raise; 0: there is none.
    last: Time,
}

impl Presses {
    /// The press that a raise at `at` joins.
    pub(crate) fn open(&self, device: DeviceIndex, at: Time, window: Span) -> Option<Open> {
        let press = self.devices.get(device.slot())?;
        // Messages overtake each other, so its last raise may lie a little ahead. One that lies further ahead was made
        // before the clock was set back, and says nothing of this one.
        (press.last > Time(0) && at.apart(press.last) < window).then_some(press.open)
    }

    /// Until when raises of the device join; in the past if its press is over, 0 if there is none.
    pub(crate) fn open_until(&self, device: DeviceIndex, window: Span) -> Time {
        match self.devices.get(device.slot()) {
            Some(press) if press.last > Time(0) => press.last + window,
            _ => Time(0),
        }
    }

    /// A first press. It is the one that is open from here on, whatever its time says: it was no raise of another.
    pub(crate) fn begin(&mut self, device: DeviceIndex, open: Open, at: Time) {
        if let Some(press) = self.press(device) {
            *press = Press { open, last: at };
        }
    }

    /// A raise at `at` belongs to the press `open`. An older press than the one that is known changes nothing.
    pub(crate) fn note(&mut self, device: DeviceIndex, open: Open, at: Time) {
        let Some(press) = self.press(device) else { return };
        if open.alert == press.open.alert {
            press.last = press.last.max(at);
        } else if at >= press.last {
            *press = Press { open, last: at };
        }
    }

    /// The device has no open press.
    pub(crate) fn close(&mut self, device: DeviceIndex) {
        if let Some(press) = self.devices.get_mut(device.slot()) {
            press.last = Time(0);
        }
    }

    /// Devices that there is room for.
    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }

    fn press(&mut self, device: DeviceIndex) -> Option<&mut Press> {
        let place = device.slot();
        if place >= self.devices.len() {
            let nobody = AlertId([0; 16]);
            let open = Open { alert: nobody, incident: nobody };
            let none = Press { open, last: Time(0) };
            self.devices.resize(place + 1, none);
        }
        self.devices.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceIndex = DeviceIndex(2);
    const WINDOW: Span = Span(100);

    #[test]
    fn a_press_is_open_for_the_window_after_its_last_raise() {
        let open = |n| Open { alert: AlertId([n; 16]), incident: AlertId([9; 16]) };
        let (first, second) = (open(1), open(2));
        let mut presses = Presses::default();
        assert_eq!(presses.open(DEVICE, Time(50), WINDOW), None);
        presses.note(DEVICE, first, Time(50));
        assert_eq!(presses.open(DEVICE, Time(149), WINDOW), Some(first));
        assert_eq!(presses.open(DEVICE, Time(10), WINDOW), Some(first), "messages crossed");
        assert_eq!(presses.open(DEVICE, Time(150), WINDOW), None);
        presses.note(DEVICE, first, Time(149));
        assert_eq!(presses.open(DEVICE, Time(248), WINDOW), Some(first), "each raise extends it");
        assert_eq!(presses.open_until(DEVICE, WINDOW), Time(249));
        presses.note(DEVICE, second, Time(300));
        presses.note(DEVICE, first, Time(149));
        assert_eq!(presses.open(DEVICE, Time(301), WINDOW), Some(second));
        assert_eq!(presses.open(DEVICE, Time(200), WINDOW), None, "the clock was set back");
        presses.begin(DEVICE, first, Time(200));
        assert_eq!(presses.open(DEVICE, Time(201), WINDOW), Some(first));
        presses.close(DEVICE);
        assert_eq!(presses.open(DEVICE, Time(201), WINDOW), None);
        assert_eq!(presses.open_until(DEVICE, WINDOW), Time(0));
    }

    #[test]
    fn a_press_costs_40_bytes() {
        assert_eq!(size_of::<Press>(), 40);
    }
}
