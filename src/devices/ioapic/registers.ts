/** Registers of the I/O APIC (Intel 82093AA data sheet, section 3; ICH's EOI register). */

/** Where the first I/O APIC of a PC is. */
export const IOAPIC_BASE = 0xfec00000
export const IOAPIC_SIZE = 0x1000

/** Offsets in MMIO. */
export const IOREGSEL = 0x00
export const IOWIN = 0x10
export const IOEOI = 0x40

/** Register numbers. */
export const IOAPICID = 0x00
export const IOAPICVER = 0x01
export const IOAPICARB = 0x02
export const IOREDTBL = 0x10

export const IOAPIC_PINS = 24
/** Version 0x20 has the EOI register. */
export const IOAPIC_VERSION = 0x20

/** Lower half of a redirection entry. */
export const REDIR_VECTOR = 0xff
export const REDIR_LOGICAL = 1 << 11
export const REDIR_REMOTE_IRR = 1 << 14
export const REDIR_LEVEL = 1 << 15
export const REDIR_MASKED = 1 << 16
/** Bits that software can write. */
export const REDIR_WRITABLE = 0x1afff
