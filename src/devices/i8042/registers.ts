/** The keyboard controller's ports, commands and bits (IBM PS/2 Hardware Interface Technical Reference, 1988). */

export const I8042_DATA_PORT = 0x60
/** Status when read, command when written. */
export const I8042_COMMAND_PORT = 0x64
export const KEYBOARD_IRQ = 1
export const MOUSE_IRQ = 12

export const STATUS_OUTPUT_FULL = 0x01
export const STATUS_SYSTEM = 0x04
/** The last write was a command. */
export const STATUS_COMMAND = 0x08
/** The keyboard is not locked by a key. */
export const STATUS_UNLOCKED = 0x10
export const STATUS_MOUSE_DATA = 0x20

export const CONFIG_KEYBOARD_INTERRUPT = 0x01
export const CONFIG_MOUSE_INTERRUPT = 0x02
export const CONFIG_SYSTEM = 0x04
export const CONFIG_KEYBOARD_DISABLED = 0x10
export const CONFIG_MOUSE_DISABLED = 0x20
export const CONFIG_TRANSLATE = 0x40

/** Bit 0 low resets the processor; bit 1 is A20; the others are lines to the devices, high while idle. */
export const OUTPUT_NO_RESET = 0x01
export const OUTPUT_A20 = 0x02
export const OUTPUT_IDLE = 0xcc
export const OUTPUT_KEYBOARD_FULL = 0x10
export const OUTPUT_MOUSE_FULL = 0x20

export const COMMAND_READ_RAM = 0x20
export const COMMAND_WRITE_RAM = 0x60
export const COMMAND_DISABLE_MOUSE = 0xa7
export const COMMAND_ENABLE_MOUSE = 0xa8
export const COMMAND_TEST_MOUSE_PORT = 0xa9
export const COMMAND_SELF_TEST = 0xaa
export const COMMAND_TEST_KEYBOARD_PORT = 0xab
export const COMMAND_DISABLE_KEYBOARD = 0xad
export const COMMAND_ENABLE_KEYBOARD = 0xae
export const COMMAND_READ_INPUT_PORT = 0xc0
export const COMMAND_READ_OUTPUT_PORT = 0xd0
export const COMMAND_WRITE_OUTPUT_PORT = 0xd1
export const COMMAND_WRITE_KEYBOARD_BUFFER = 0xd2
export const COMMAND_WRITE_MOUSE_BUFFER = 0xd3
export const COMMAND_WRITE_MOUSE = 0xd4
export const COMMAND_DISABLE_A20 = 0xdd
export const COMMAND_ENABLE_A20 = 0xdf
export const COMMAND_READ_TEST_INPUTS = 0xe0
/** 0xf0 to 0xff pulse the low four bits of the output port that are 0 in the command. */
export const COMMAND_PULSE = 0xf0

export const SELF_TEST_PASSED = 0x55
export const PORT_TEST_PASSED = 0x00
/** Input port: the keyboard is not locked. */
export const INPUT_PORT = 0x80
