/** Date and time as the ten time registers hold them: BCD or binary, 12 or 24 hours. */

import * as r from './registers.ts'

/** Registers that hold the time, the alarm apart. */
export const TIME_REGISTERS: readonly number[] = [
  r.RTC_SECONDS,
  r.RTC_MINUTES,
  r.RTC_HOURS,
  r.RTC_WEEKDAY,
  r.RTC_DAY,
  r.RTC_MONTH,
  r.RTC_YEAR,
  r.RTC_CENTURY,
]

const PM = 0x80
/** A byte with both top bits set in an alarm register matches always. */
const ALARM_ANY = 0xc0

export const SECONDS_PER_DAY = 86400

/** Register contents from a number, in the data mode of register B. */
export function encodeNumber(value: number, registerB: number): number {
  return registerB & r.RTC_B_BINARY ? value & 0xff : ((Math.floor(value / 10) << 4) | (value % 10)) & 0xff
}

export function decodeNumber(byte: number, registerB: number): number {
  return registerB & r.RTC_B_BINARY ? byte : (byte >>> 4) * 10 + (byte & 15)
}

function encodeHours(hours: number, registerB: number): number {
  if (registerB & r.RTC_B_24_HOURS) return encodeNumber(hours, registerB)
  return encodeNumber(hours % 12 === 0 ? 12 : hours % 12, registerB) | (hours >= 12 ? PM : 0)
}

function decodeHours(byte: number, registerB: number): number {
  if (registerB & r.RTC_B_24_HOURS) return decodeNumber(byte, registerB)
  return (decodeNumber(byte & ~PM, registerB) % 12) + (byte & PM ? 12 : 0)
}

/** Writes the time registers of `cmos`. @param seconds since 1970-01-01 UTC. */
export function storeTime(cmos: Uint8Array, seconds: number, registerB: number): void {
  const date = new Date(seconds * 1000)
  const year = date.getUTCFullYear()
  cmos[r.RTC_SECONDS] = encodeNumber(date.getUTCSeconds(), registerB)
  cmos[r.RTC_MINUTES] = encodeNumber(date.getUTCMinutes(), registerB)
  cmos[r.RTC_HOURS] = encodeHours(date.getUTCHours(), registerB)
  cmos[r.RTC_WEEKDAY] = encodeNumber(date.getUTCDay() + 1, registerB)
  cmos[r.RTC_DAY] = encodeNumber(date.getUTCDate(), registerB)
  cmos[r.RTC_MONTH] = encodeNumber(date.getUTCMonth() + 1, registerB)
  cmos[r.RTC_YEAR] = encodeNumber(((year % 100) + 100) % 100, registerB)
  cmos[r.RTC_CENTURY] = encodeNumber(Math.max(0, Math.floor(year / 100)), registerB)
}

/**
 * Reads the time registers. Values out of range carry over, as 61 seconds do into the minutes.
 * @returns seconds since 1970-01-01 UTC.
 */
export function loadTime(cmos: Uint8Array, registerB: number): number {
  const field = (register: number): number => decodeNumber(cmos[register], registerB)
  const date = new Date(0)
  date.setUTCFullYear(field(r.RTC_CENTURY) * 100 + field(r.RTC_YEAR), field(r.RTC_MONTH) - 1, field(r.RTC_DAY))
  date.setUTCHours(decodeHours(cmos[r.RTC_HOURS], registerB), field(r.RTC_MINUTES), field(r.RTC_SECONDS))
  return Math.floor(date.getTime() / 1000)
}

/** First second after `seconds` at which the alarm registers match, or undefined when no time of day does. */
export function nextAlarm(cmos: Uint8Array, seconds: number, registerB: number): number | undefined {
  const matching = (register: number, count: number, decode: (byte: number, b: number) => number): number[] => {
    const byte = cmos[register]
    if ((byte & ALARM_ANY) === ALARM_ANY) return Array.from({ length: count }, (_, value) => value)
    const value = decode(byte, registerB)
    return value < count ? [value] : []
  }
  const hours = matching(r.RTC_HOURS_ALARM, 24, decodeHours)
  const minutes = matching(r.RTC_MINUTES_ALARM, 60, decodeNumber)
  const wanted = matching(r.RTC_SECONDS_ALARM, 60, decodeNumber)
  if (hours.length === 0 || minutes.length === 0 || wanted.length === 0) return undefined

  const after = seconds + 1
  const midnight = Math.floor(after / SECONDS_PER_DAY) * SECONDS_PER_DAY
  for (const day of [midnight, midnight + SECONDS_PER_DAY])
    for (const hour of hours) {
      if (day + hour * 3600 + 3599 < after) continue
      for (const minute of minutes) {
        const start = day + hour * 3600 + minute * 60
        if (start + 59 < after) continue
        for (const second of wanted) if (start + second >= after) return start + second
      }
    }
  return undefined
}
