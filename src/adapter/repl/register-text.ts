/** Registers of a device, one a line. */

import type { DeviceRegister } from '../../inspect/machine-view.ts'
import { columns } from './columns.ts'

export const registersText = (registers: readonly DeviceRegister[]): string =>
  columns(
    registers.map(({ name, value, width, meaning }) => [name, registerHex(value, width), meaning ?? '']),
    '  ',
  )

/** Of 32 bits a signed number is meant unsigned; wider ones are as they are. */
const registerHex = (value: number, width: number): string => `0x${(width > 32 ? value : value >>> 0).toString(16)}`
