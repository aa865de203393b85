/** Serves a disk when it is told to: what a worker is to a device, without a thread. */

import type { Disk } from '../../src/backends/disk/disk.ts'
import { type DiskAnswer, type DiskBackend, type DiskCommand, execute } from '../../src/backends/disk/disk-backend.ts'

export class LateBackend implements DiskBackend {
  readonly #disk: Disk
  /** Requests that there is room for. */
  readonly #room: number
  readonly #waiting: { readonly command: DiskCommand; answer: (answer: DiskAnswer) => void }[] = []

  constructor(disk: Disk, room: number) {
    this.#disk = disk
    this.#room = room
  }

  get name(): string {
    return this.#disk.name
  }

  get sectors(): number {
    return this.#disk.sectors
  }

  get readOnly(): boolean {
    return this.#disk.readOnly
  }

  get underWay(): number {
    return this.#waiting.length
  }

  submit(command: DiskCommand, answer: (answer: DiskAnswer) => void): boolean {
    if (this.#waiting.length >= this.#room) return false
    // Data of a write are the device's only during this call.
    const kept = (): DiskCommand => {
      if (command.kind === 'write') return { ...command, pieces: command.pieces.map(piece => piece.slice()) }
      return command.kind === 'read' ? { kind: 'read', sector: command.sector, count: command.count } : command
    }
    this.#waiting.push({ command: kept(), answer })
    return true
  }

  /** Serves and answers the oldest requests. */
  answer(count: number): void {
    for (const { command, answer } of this.#waiting.splice(0, count))
      answer(execute(this.#disk, command, bytes => new Uint8Array(bytes)))
  }

  cancel(): void {
    for (const waiting of this.#waiting) waiting.answer = () => {}
  }

  close(): void {
    this.#disk.close()
  }
}
