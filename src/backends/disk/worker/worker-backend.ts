/**
 * A disk that a worker serves, as vhost does for a hypervisor: the machine's thread writes requests into a ring in
 * shared memory and kicks an event descriptor; the worker answers by another. Answers wait here until the guest stands
 * still, and are handed over by {@link WorkerBackend.deliver}: when that is, the guest can see, and whoever runs the
 * machine may write down.
 */

import { Worker } from 'node:worker_threads'
import { EventDescriptor } from '../../../util/event-descriptor.ts'
import type { HostInput } from '../../../util/host-input.ts'
import { DiskError } from '../disk.ts'
import type { DiskAnswer, DiskBackend, DiskCommand } from '../disk-backend.ts'
import { RawDisk } from '../raw-disk.ts'
import { createSharedRing, RequestRing } from './request-ring.ts'
import type { WorkerStart } from './worker-start.ts'

/** In the bundle, which is one file, the worker runs the whole command, and `cli/main.ts` sees what it was started for. */
const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './disk-worker.ts' : import.meta.url, import.meta.url)
/** Milliseconds that the host has for what was submitted, when the machine is saved or its disks are closed. */
const LONGEST_WAIT = 30_000

export class WorkerBackend implements DiskBackend, HostInput {
  onArrival: (() => void) | undefined
  /** Called behind a batch of answers that {@link deliver} handed over. @param failed which of them were errors. */
  onDelivered: ((answers: number, failed: readonly number[]) => void) | undefined

  /** Opened here too: its size and its faults are known before the worker runs, and the lock is this process's. */
  readonly #disk: RawDisk
  readonly #worker: Worker
  readonly #ring: RequestRing
  readonly #kick = new EventDescriptor()
  readonly #answered = new EventDescriptor()
  /** For each request that is under way, who is answered; nobody after {@link cancel}. */
  readonly #waiting: (((answer: DiskAnswer) => void) | undefined)[] = []
  #listening = false
  #closed = false
  /** Why there is no worker any more. */
  #death: string | undefined

  /** Throws {@link DiskError} with what is wrong with the file. @param entry for tests: another worker. */
  constructor(path: string, options: { readonly readOnly?: boolean; readonly entry?: URL } = {}) {
    this.#disk = new RawDisk(path, { readOnly: options.readOnly ?? false })
    const ring = createSharedRing()
    this.#ring = new RequestRing(ring)
    const { readOnly } = this.#disk
    const [kick, answered] = [this.#kick.shared, this.#answered.shared]
    const start: WorkerStart = { serves: 'disk', path, readOnly, ring, kick, answered }
    this.#worker = new Worker(options.entry ?? ENTRY, { workerData: start })
    this.#worker.on('error', error => this.#died(error instanceof Error ? error.message : String(error)))
    this.#worker.on('exit', code => this.#died(`it ended with status ${code}`))
    // A process that has nothing else to do may end.
    this.#worker.unref()
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

  /** Answers will come: an idle guest waits for them, and skips no time. */
  get live(): boolean {
    return this.#waiting.length > 0
  }

  get waiting(): boolean {
    return this.#ring.answered || (this.#death !== undefined && this.live)
  }

  submit(command: DiskCommand, answer: (answer: DiskAnswer) => void): boolean {
    if (this.#death !== undefined) answer(this.#deadAnswer(this.#death))
    else {
      if (!this.#ring.submit(command)) return false
      this.#waiting.push(answer)
      this.#kick.signal()
      this.#listen()
    }
    return true
  }

  deliver(): void {
    this.#answered.take()
    let answers = 0
    const failed: number[] = []
    // A callback may submit more, which waits for the next time if it is answered meanwhile.
    for (let left = this.#waiting.length; left > 0 && this.#ring.answered; left--) {
      this.#ring.take(answer => {
        if (!answer.ok) failed.push(answers)
        this.#waiting.shift()?.(answer)
      })
      answers++
    }
    if (this.#death !== undefined)
      for (const lost of this.#waiting.splice(0)) {
        failed.push(answers++)
        lost?.(this.#deadAnswer(this.#death))
      }
    if (answers > 0) this.onDelivered?.(answers, failed)
    if (this.live) this.#listen()
  }

  /** Waits until everything is answered, and hands it over. Throws {@link DiskError} when the host takes too long. */
  drain(): void {
    const end = performance.now() + LONGEST_WAIT
    while (this.live) {
      if (!this.waiting && !this.#answered.wait(end - performance.now()))
        throw new DiskError(`disk "${this.name}": the host has not answered for ${LONGEST_WAIT / 1000} s`)
      this.deliver()
    }
  }

  cancel(): void {
    this.#waiting.fill(undefined)
  }

  /** What was submitted is carried out before. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ring.stop()
    this.#kick.signal()
    if (this.#death === undefined && !this.#ring.waitForEnd(LONGEST_WAIT)) void this.#worker.terminate()
    this.#disk.close()
  }

  /** Arranges for {@link onArrival}. */
  #listen(): void {
    if (this.#listening || this.#closed) return
    this.#listening = true
    void this.#answered.waitAsync().then(() => {
      this.#listening = false
      if (!this.#closed) this.onArrival?.()
    })
  }

  #died(reason: string): void {
    if (this.#closed || this.#death !== undefined) return
    this.#death = reason
    this.onArrival?.()
  }

  /** What was submitted may have been carried out or not: the guest must not believe that it was. */
  #deadAnswer(reason: string): DiskAnswer {
    return { ok: false, reason: `the worker of disk "${this.name}" has failed: ${reason}` }
  }
}
