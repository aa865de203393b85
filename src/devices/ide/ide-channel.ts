/**
 * One cable with room for two drives (ATA/ATAPI-6, chapter 7): both hear what the host writes into the command block,
 * the selected one answers. A drive that is not there is answered for by the other, as 9.16 says; a cable without any
 * reads as a bus that nobody drives.
 */

import type { Json } from '../../util/json.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { InterruptLine, RegisterView } from '../device.ts'
import type { SavedState } from '../saved-state.ts'
import type { AtaDrive } from './ata-drive.ts'
import type { BusMaster } from './bus-master.ts'
import * as r from './registers.ts'

export interface IdeChannelOptions {
  /** `ide0`. */
  readonly name: string
  readonly interrupt: InterruptLine
  readonly busMaster: BusMaster
}

export class IdeChannel {
  readonly name: string
  readonly busMaster: BusMaster
  readonly #interrupt: InterruptLine
  /** Device 0 and device 1. */
  readonly #drives: (AtaDrive | undefined)[] = [undefined, undefined]
  #selected = 0
  #control = 0
  #line = false
  /** The host bridge decodes the channel's ports. */
  decoded = true

  constructor(options: IdeChannelOptions) {
    this.name = options.name
    this.#interrupt = options.interrupt
    this.busMaster = options.busMaster
    this.busMaster.onStart = () => {
      for (const drive of this.#drives) drive?.busMasterStarted()
    }
  }

  /** While the machine is built only. */
  connect(position: 0 | 1, drive: AtaDrive): void {
    this.#drives[position] = drive
  }

  get drives(): readonly (AtaDrive | undefined)[] {
    return this.#drives
  }

  /** A drive's interrupt, the selection, or the control register has changed. */
  update(): void {
    const wanted = this.#drives[this.#selected]?.interrupt ?? false
    const asserted = wanted && (this.#control & r.CONTROL_NIEN) === 0
    if (asserted === this.#line) return
    this.#line = asserted
    if (asserted) this.busMaster.interrupt()
    this.#interrupt.set(asserted)
  }

  get #present(): boolean {
    return this.decoded && this.#drives.some(drive => drive !== undefined)
  }

  /** @param offset in the command block. The data register is as wide as the access. */
  read(offset: number, size: AccessSize): number {
    if (!this.#present) return 0xffff_ffff
    if (offset === r.REG_DATA) return this.#drives[this.#selected]?.readData(size) ?? 0
    return readByBytes(offset, size, at => this.#readRegister(at))
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (!this.#present) return
    if (offset === r.REG_DATA) this.#drives[this.#selected]?.writeData(size, value)
    else writeByBytes(offset, size, value, (at, byte) => this.#writeRegister(at, byte))
  }

  /** The alternate status: takes no interrupt back. */
  readAlternateStatus(): number {
    if (!this.#present) return 0xff
    return this.#drives[this.#selected]?.status ?? 0
  }

  writeControl(value: number): void {
    if (!this.#present) return
    const before = this.#control
    this.#control = value & (r.CONTROL_HOB | r.CONTROL_SRST | r.CONTROL_NIEN)
    const changed = before ^ this.#control
    if (changed & r.CONTROL_SRST)
      for (const drive of this.#drives)
        if (this.#control & r.CONTROL_SRST) drive?.holdReset()
        else drive?.releaseReset()
    if (changed & this.#control & r.CONTROL_SRST) this.#selected = 0
    this.update()
  }

  #readRegister(register: number): number {
    if (register >= r.COMMAND_BLOCK_PORTS) return 0xff
    const drive = this.#drives[this.#selected]
    if (register === r.REG_STATUS) return drive?.readStatus() ?? 0
    // Device 0 answers for a device 1 that is not there, and the other way round.
    const answering = drive ?? this.#drives[1 - this.#selected]
    if (answering === undefined) return 0xff
    if (register === r.REG_ERROR) return answering.error
    if (register === r.REG_DEVICE)
      return (answering.task.device & ~r.DEVICE_SELECT) | (this.#selected * r.DEVICE_SELECT) | r.DEVICE_OBSOLETE
    return answering.task.read(register, (this.#control & r.CONTROL_HOB) !== 0)
  }

  #writeRegister(register: number, value: number): void {
    if (register >= r.COMMAND_BLOCK_PORTS) return
    // 7.6: a write to the command block ends reading of the high-order bytes.
    this.#control &= ~r.CONTROL_HOB
    if (register === r.REG_COMMAND) this.#writeCommand(value)
    else if (register === r.REG_DEVICE) {
      for (const drive of this.#drives) if (drive && !drive.busy) drive.task.device = value
      if (!this.#drives.some(drive => drive?.busy)) this.#selected = value & r.DEVICE_SELECT ? 1 : 0
      this.update()
    } else for (const drive of this.#drives) if (drive && !drive.busy) drive.task.write(register, value)
  }

  #writeCommand(code: number): void {
    if (code !== r.EXECUTE_DEVICE_DIAGNOSTIC) this.#drives[this.#selected]?.writeCommand(code)
    else if (!this.#drives.some(drive => drive?.busy)) {
      // Device 0 reports of both.
      this.#selected = 0
      for (const drive of this.#drives) drive?.diagnose()
    }
  }

  reset(): void {
    this.busMaster.reset()
    for (const drive of this.#drives) drive?.reset()
    this.#selected = 0
    this.#control = 0
    this.#line = false
    this.#interrupt.set(false)
  }

  save(): Json {
    return {
      ...{ selected: this.#selected, control: this.#control, line: this.#line, busMaster: this.busMaster.save() },
      drives: this.#drives.map(drive => drive?.save() ?? {}),
    }
  }

  restore(saved: SavedState): void {
    this.#selected = saved.number('selected') & 1
    this.#control = saved.number('control') & 0xff
    this.#line = saved.boolean('line')
    this.busMaster.restore(saved.part('busMaster'))
    for (const [index, part] of saved.parts('drives', 2).entries()) this.#drives[index]?.restore(part)
  }

  registers(): readonly RegisterView[] {
    return [
      {
        ...{ name: `${this.name}.control`, value: this.#control, width: 8 },
        meaning: `device ${this.#selected} is selected`,
      },
      ...this.busMaster.registers(this.name),
      ...this.#drives.flatMap(drive => drive?.registers() ?? []),
    ]
  }
}
