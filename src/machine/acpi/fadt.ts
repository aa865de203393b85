/** The fixed ACPI description table (ACPI 2.0c, 5.2.8, revision 3: 244 bytes). */

import {
  GPE0,
  GPE0_LENGTH,
  PM_TIMER,
  PM_TIMER_LENGTH,
  PM1_CONTROL_LENGTH,
  PM1_EVENT_LENGTH,
  PM1A_CONTROL,
  PM1A_EVENT,
  SCI_IRQ,
  SMI_COMMAND,
} from '../../devices/acpi-pm/registers.ts'
import { ByteList } from './byte-list.ts'
import { acpiTable, genericAddress, SPACE_IO } from './table.ts'

const REVISION = 3
const PROFILE_DESKTOP = 1
/** Latencies above 100 and 1000 microseconds say that C2 and C3 don't exist. */
const NO_C2 = 0xfff
const NO_C3 = 0xfff
/** CMOS index of the century. */
const RTC_CENTURY = 0x32

/** IAPC_BOOT_ARCH (table 5.10). */
const LEGACY_DEVICES = 1 << 0
const HAS_8042 = 1 << 1

/** Feature flags (table 5.9). TMR_VAL_EXT is not among them: the timer has 24 bits. */
const WBINVD = 1 << 0
const PROC_C1 = 1 << 2
/** There is no fixed sleep button, and the clock's alarm is not in the fixed registers. */
const NO_SLEEP_BUTTON = 1 << 5
const NO_FIXED_RTC = 1 << 6
const RESET_REG_SUP = 1 << 10

const RESET_PORT = 0xcf9
/** Reset the processor, hard (ICH data sheet, RST_CNT). */
const RESET_VALUE = 6

export function buildFadt(facs: number, dsdt: number): Uint8Array {
  const body = new ByteList()
    .u32(facs, dsdt)
    .u8(0, PROFILE_DESKTOP)
    .u16(SCI_IRQ)
    .u32(SMI_COMMAND)
    // ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT: values for an SMI command port that does not exist.
    .u8(0, 0, 0, 0)
    .u32(PM1A_EVENT, 0, PM1A_CONTROL, 0, 0, PM_TIMER, GPE0, 0)
    .u8(PM1_EVENT_LENGTH, PM1_CONTROL_LENGTH, 0, PM_TIMER_LENGTH, GPE0_LENGTH, 0, 0, 0)
    .u16(NO_C2, NO_C3)
    // FLUSH_SIZE, FLUSH_STRIDE: WBINVD serves. DUTY_OFFSET, DUTY_WIDTH, DAY_ALRM, MON_ALRM: none.
    .u16(0, 0)
    .u8(0, 0, 0, 0, RTC_CENTURY)
    .u16(LEGACY_DEVICES | HAS_8042)
    .u8(0)
    .u32(WBINVD | PROC_C1 | NO_SLEEP_BUTTON | NO_FIXED_RTC | RESET_REG_SUP)
  genericAddress(body, SPACE_IO, RESET_PORT, 1)
  body.u8(RESET_VALUE).zeroes(3)
  // X_FIRMWARE_CTRL stays 0 where FIRMWARE_CTRL is used (ACPI 6.5, table 5.9: not both).
  body.u64(0, dsdt)
  genericAddress(body, SPACE_IO, PM1A_EVENT, PM1_EVENT_LENGTH)
  genericAddress(body, SPACE_IO, 0, 0)
  genericAddress(body, SPACE_IO, PM1A_CONTROL, PM1_CONTROL_LENGTH)
  genericAddress(body, SPACE_IO, 0, 0)
  genericAddress(body, SPACE_IO, 0, 0)
  genericAddress(body, SPACE_IO, PM_TIMER, PM_TIMER_LENGTH)
  genericAddress(body, SPACE_IO, GPE0, GPE0_LENGTH)
  genericAddress(body, SPACE_IO, 0, 0)
  return acpiTable('FACP', REVISION, body)
}
