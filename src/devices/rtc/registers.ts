/** Registers of the MC146818A real-time clock (Motorola data sheet, 1988) and the PC's use of its RAM. */

export const RTC_INDEX_PORT = 0x70
export const RTC_DATA_PORT = 0x71
export const RTC_IRQ = 8

export const RTC_SECONDS = 0x00
export const RTC_SECONDS_ALARM = 0x01
export const RTC_MINUTES = 0x02
export const RTC_MINUTES_ALARM = 0x03
export const RTC_HOURS = 0x04
export const RTC_HOURS_ALARM = 0x05
export const RTC_WEEKDAY = 0x06
export const RTC_DAY = 0x07
export const RTC_MONTH = 0x08
export const RTC_YEAR = 0x09
export const RTC_A = 0x0a
export const RTC_B = 0x0b
export const RTC_C = 0x0c
export const RTC_D = 0x0d
/** FADT `CENTURY`. */
export const RTC_CENTURY = 0x32

export const RTC_A_UPDATE_IN_PROGRESS = 0x80
/** Divider bits 110 and 111 hold the divider in reset. */
export const RTC_A_DIVIDER_RESET = 0x60
export const RTC_A_RATE = 0x0f
/** 32.768 kHz time base, 1024 Hz rate, as firmware leaves it. */
export const RTC_A_DEFAULT = 0x26

export const RTC_B_SET = 0x80
export const RTC_B_PERIODIC = 0x40
export const RTC_B_ALARM = 0x20
export const RTC_B_UPDATE_ENDED = 0x10
export const RTC_B_SQUARE_WAVE = 0x08
export const RTC_B_BINARY = 0x04
export const RTC_B_24_HOURS = 0x02
export const RTC_B_DEFAULT = RTC_B_24_HOURS

export const RTC_C_INTERRUPT = 0x80
export const RTC_C_PERIODIC = 0x40
export const RTC_C_ALARM = 0x20
export const RTC_C_UPDATE_ENDED = 0x10
/** The flags that have an enable bit in the same place of register B. */
export const RTC_C_FLAGS = RTC_C_PERIODIC | RTC_C_ALARM | RTC_C_UPDATE_ENDED

/** Contents of RAM and time are valid. */
export const RTC_D_VALID = 0x80
