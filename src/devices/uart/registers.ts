/** Registers of the PC16550D (National Semiconductor data sheet, June 1995, section 8). */

/** Offsets from the base port. */
export const UART_DATA = 0
export const UART_IER = 1
export const UART_IIR_FCR = 2
export const UART_LCR = 3
export const UART_MCR = 4
export const UART_LSR = 5
export const UART_MSR = 6
export const UART_SCR = 7

export const IER_RX_AVAILABLE = 0x01
export const IER_THR_EMPTY = 0x02
export const IER_LINE_STATUS = 0x04
export const IER_MODEM_STATUS = 0x08

export const IIR_NONE = 0x01
export const IIR_MODEM_STATUS = 0x00
export const IIR_THR_EMPTY = 0x02
export const IIR_RX_AVAILABLE = 0x04
export const IIR_LINE_STATUS = 0x06
export const IIR_RX_TIMEOUT = 0x0c
export const IIR_FIFOS_ENABLED = 0xc0

export const FCR_ENABLE = 0x01
export const FCR_CLEAR_RX = 0x02
/** Bits that stay: enable, DMA mode, trigger level. */
export const FCR_STORED = 0xc9

export const LCR_DLAB = 0x80

export const MCR_DTR = 0x01
export const MCR_RTS = 0x02
export const MCR_OUT1 = 0x04
export const MCR_OUT2 = 0x08
export const MCR_LOOP = 0x10

export const LSR_DATA_READY = 0x01
export const LSR_OVERRUN = 0x02
export const LSR_THR_EMPTY = 0x20
export const LSR_TRANSMITTER_EMPTY = 0x40

export const MSR_DELTA_CTS = 0x01
export const MSR_DELTA_DSR = 0x02
export const MSR_TRAILING_RI = 0x04
export const MSR_DELTA_DCD = 0x08
export const MSR_CTS = 0x10
export const MSR_DSR = 0x20
export const MSR_RI = 0x40
export const MSR_DCD = 0x80

/** Bytes in each FIFO. */
export const FIFO_SIZE = 16
/** Receiver trigger levels by FCR bits 6 and 7. */
export const TRIGGER_LEVELS: readonly number[] = [1, 4, 8, 14]

/** Baud rate at divisor 1: a crystal of 1.8432 MHz and 16 clocks a bit. */
export const BASE_BAUD = 115200
