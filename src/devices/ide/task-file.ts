/** The registers by which a host tells an ATA device what to do: each remembers its previous value, for 48-bit addresses. */

import type { Json } from '../../util/json.ts'
import type { SavedState } from '../saved-state.ts'
import type { Geometry } from './identify.ts'
import * as r from './registers.ts'

const REGISTERS = 5

export class TaskFile {
  /** Features, count, LBA low, mid, high: by offset from {@link r.REG_FEATURES}. */
  readonly #current = new Uint8Array(REGISTERS)
  readonly #previous = new Uint8Array(REGISTERS)
  device = 0

  write(register: number, value: number): void {
    const index = register - r.REG_FEATURES
    this.#previous[index] = this.#current[index]
    this.#current[index] = value
  }

  /** @param high the previous value, as bit HOB of the control register asks for. */
  read(register: number, high: boolean): number {
    return (high ? this.#previous : this.#current)[register - r.REG_FEATURES]
  }

  get features(): number {
    return this.#current[0]
  }

  /** Sectors of a command; 0 stands for the most. */
  count(extended: boolean): number {
    const [, count] = this.#current
    if (!extended) return count === 0 ? 0x100 : count
    const wide = count | (this.#previous[1] << 8)
    return wide === 0 ? 0x1_0000 : wide
  }

  get rawCount(): number {
    return this.#current[1]
  }

  setCount(value: number): void {
    this.#current[1] = value
  }

  /** Sector that is addressed; undefined when cylinder, head and sector are not the geometry's. */
  address(extended: boolean, geometry: Geometry): number | undefined {
    const [, , low, mid, high] = this.#current
    if (extended) {
      const [, , low2, mid2, high2] = this.#previous
      return low + mid * 2 ** 8 + high * 2 ** 16 + (low2 + mid2 * 2 ** 8 + high2 * 2 ** 16) * 2 ** 24
    }
    const head = this.device & 0x0f
    if (this.device & r.DEVICE_LBA) return low + mid * 2 ** 8 + high * 2 ** 16 + head * 2 ** 24
    const cylinder = mid | (high << 8)
    if (cylinder >= geometry.cylinders || head >= geometry.heads || low === 0 || low > geometry.sectors)
      return undefined
    return (cylinder * geometry.heads + head) * geometry.sectors + low - 1
  }

  /** Tells of a sector in the form in which the host addressed. */
  setAddress(sector: number, extended: boolean, geometry: Geometry): void {
    if (extended) {
      this.#setBytes(this.#current, sector % 2 ** 24)
      this.#setBytes(this.#previous, Math.floor(sector / 2 ** 24))
    } else if (this.device & r.DEVICE_LBA) {
      this.#setBytes(this.#current, sector % 2 ** 24)
      this.device = (this.device & 0xf0) | (Math.floor(sector / 2 ** 24) & 0x0f)
    } else {
      const track = Math.floor(sector / geometry.sectors)
      const cylinder = Math.floor(track / geometry.heads)
      this.#current[2] = (sector % geometry.sectors) + 1
      this.#current[3] = cylinder
      this.#current[4] = cylinder >>> 8
      this.device = (this.device & 0xf0) | ((track % geometry.heads) & 0x0f)
    }
  }

  #setBytes(registers: Uint8Array, value: number): void {
    registers[2] = value
    registers[3] = value >>> 8
    registers[4] = value >>> 16
  }

  /** What an ATA device shows after a reset or a diagnostic (9.12). */
  setSignature(): void {
    this.#current.set([0, 1, 1, 0, 0])
    this.#previous.fill(0)
    this.device = 0
  }

  save(): Json {
    return { current: [...this.#current], previous: [...this.#previous], device: this.device }
  }

  restore(saved: SavedState): void {
    this.#current.set(saved.numbers('current', REGISTERS))
    this.#previous.set(saved.numbers('previous', REGISTERS))
    this.device = saved.number('device') & 0xff
  }
}
