/** Bytes that PS/2 keyboard and mouse have in common. */

export const PS2_RESEND = 0xfe
export const PS2_RESET = 0xff
export const PS2_DEFAULTS = 0xf6
export const PS2_DISABLE = 0xf5
export const PS2_ENABLE = 0xf4
export const PS2_SET_RATE = 0xf3
export const PS2_IDENTIFY = 0xf2

export const PS2_ACKNOWLEDGE = 0xfa
export const PS2_SELF_TEST_PASSED = 0xaa

/** Bytes a device keeps until the controller takes them. */
export const PS2_QUEUE_SIZE = 16
