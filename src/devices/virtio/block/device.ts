/**
 * The block device (Virtio 1.2, 5.2): a disk whose requests are chains of a header, data and a status byte. What
 * serves them is a {@link DiskBackend}, on whichever thread.
 */

import { SECTOR_SIZE } from '../../../backends/disk/disk.ts'
import type { DiskAnswer, DiskBackend, DiskCommand } from '../../../backends/disk/disk-backend.ts'
import { MAXIMUM_REQUEST_BYTES, MAXIMUM_REQUEST_SECTORS } from '../../../backends/disk/disk-range.ts'
import { gather, lengthOf } from '../../../backends/disk/pieces.ts'
import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import { SavedState } from '../../saved-state.ts'
import {
  type Chain,
  type ChainContent,
  type ChainDescription,
  type DeviceQueue,
  type QueueDescription,
  VIRTIO_ID_BLOCK,
  type VirtioDevice,
  type VirtioPort,
} from '../virtio-device.ts'
import { describeRequest } from './describe.ts'
import * as p from './protocol.ts'
import { type BlockRequest, readHeader, readRequest } from './request.ts'

const QUEUE_SIZE = 256
/** Segments of data in a request, beside its header and status, and bytes of one: together what a request may have. */
const SEG_MAX = QUEUE_SIZE - 2
const SIZE_MAX = MAXIMUM_REQUEST_BYTES / QUEUE_SIZE
/** Of requests that a host does well, 4 KiB. */
const PHYSICAL_BLOCK_EXP = 3
/** PCI 3.0, appendix D: SCSI mass storage, as other virtual machines have it. */
const CLASS_CODE = 0x010000

export const MAXIMUM_QUEUES = 8

export interface BlockDeviceOptions {
  readonly name: string
  readonly backend: DiskBackend
  /** 1 (default) to {@link MAXIMUM_QUEUES}. */
  readonly queues?: number
  /** What GET_ID answers: at most 20 bytes of ASCII. The device's name by default. */
  readonly serial?: string
  /** For people: a request failed on the host. */
  readonly onFailure?: (reason: string) => void
}

/** A chain that the back end has. */
interface Waiting {
  readonly queue: DeviceQueue
  readonly chain: Chain
  readonly command: DiskCommand
}

export class BlockDevice implements VirtioDevice {
  readonly name: string
  readonly type = VIRTIO_ID_BLOCK
  readonly classCode = CLASS_CODE
  readonly queues: readonly QueueDescription[]
  readonly features: bigint
  readonly featureNames = p.FEATURE_NAMES
  readonly configurationSize = p.CONFIG_SIZE

  readonly #backend: DiskBackend
  readonly #id = new Uint8Array(p.ID_SIZE)
  readonly #onFailure: (reason: string) => void
  #port: VirtioPort | undefined
  /** The driver's choice, where CONFIG_WCE is in effect. */
  #writeback = true
  /** Taken from their queues, and not begun: the back end had no room. */
  #stalled: Waiting[] = []
  /** Requests that the back end has. */
  #underWay = 0

  constructor(options: BlockDeviceOptions) {
    const count = options.queues ?? 1
    if (!Number.isInteger(count) || count < 1 || count > MAXIMUM_QUEUES)
      throw new RangeError(`${options.name}: ${count} queues; 1 to ${MAXIMUM_QUEUES} are possible`)
    this.name = options.name
    this.#backend = options.backend
    this.#onFailure = options.onFailure ?? (() => {})
    this.#id.set(new TextEncoder().encode(options.serial ?? options.name).subarray(0, p.ID_SIZE))
    this.queues = Array.from({ length: count }, (_, index) => ({
      name: count === 1 ? 'requestq' : `requestq${index + 1}`,
      maximumSize: QUEUE_SIZE,
    }))
    this.features = featureBits(options.backend.readOnly, count)
  }

  connect(port: VirtioPort): void {
    this.#port = port
  }

  negotiated(): boolean {
    // 5.2.5: a driver that can't flush starts with a cache that is written through.
    this.#writeback = this.#has(p.VIRTIO_BLK_F_FLUSH)
    return true
  }

  readConfiguration(offset: number, size: 1 | 2 | 4): number {
    const view = this.#configuration()
    return size === 4 ? view.getUint32(offset, true) : size === 2 ? view.getUint16(offset, true) : view.getUint8(offset)
  }

  /** Only `writeback` can be written (5.2.4), and only where CONFIG_WCE was accepted. */
  writeConfiguration(offset: number, size: 1 | 2 | 4, value: number): void {
    if (offset > p.CONFIG_WRITEBACK || offset + size <= p.CONFIG_WRITEBACK || !this.#has(p.VIRTIO_BLK_F_CONFIG_WCE))
      return
    this.#writeback = ((value >>> (8 * (p.CONFIG_WRITEBACK - offset))) & 1) !== 0
  }

  service(index: number): void {
    const queue = this.#port?.queues[index]
    if (queue === undefined) return
    while (this.#stalled.length === 0) {
      const chain = queue.take()
      if (chain === undefined || !this.#begin(queue, chain)) break
    }
    queue.flush()
  }

  reset(): void {
    this.#backend.cancel()
    this.#stalled = []
    this.#underWay = 0
    this.#writeback = true
  }

  /** Between two runs nothing is under way: the machine waits for its back ends before it is saved. */
  save(): Json {
    if (this.#underWay > 0 || this.#stalled.length > 0)
      throw new Error(`${this.name}: saved with ${this.#underWay} requests under way`)
    return { writeback: this.#writeback }
  }

  restore(state: Json): void {
    this.#backend.cancel()
    this.#stalled = []
    this.#underWay = 0
    this.#writeback = new SavedState(this.name, state).boolean('writeback')
  }

  registers(): readonly RegisterView[] {
    const view = this.#configuration()
    const field = (name: string, width: 8 | 16 | 32, offset: number, meaning?: string): RegisterView => ({
      name,
      value:
        width === 32
          ? view.getUint32(offset, true)
          : width === 16
            ? view.getUint16(offset, true)
            : view.getUint8(offset),
      width,
      ...(meaning === undefined ? {} : { meaning }),
    })
    return [
      {
        name: 'capacity',
        value: this.#backend.sectors,
        width: 64,
        meaning: `sectors: ${this.#backend.sectors * SECTOR_SIZE} bytes of "${this.#backend.name}"`,
      },
      field('size_max', 32, p.CONFIG_SIZE_MAX),
      field('seg_max', 32, p.CONFIG_SEG_MAX),
      field('blk_size', 32, p.CONFIG_BLK_SIZE),
      field('physical_block_exp', 8, p.CONFIG_PHYSICAL_BLOCK_EXP),
      field('alignment_offset', 8, p.CONFIG_ALIGNMENT_OFFSET),
      field('min_io_size', 16, p.CONFIG_MIN_IO_SIZE),
      field('opt_io_size', 32, p.CONFIG_OPT_IO_SIZE),
      field('writeback', 8, p.CONFIG_WRITEBACK, this.#writesThrough ? 'write-through' : 'write-back'),
      field('num_queues', 16, p.CONFIG_NUM_QUEUES),
      field('max_discard_sectors', 32, p.CONFIG_MAX_DISCARD_SECTORS),
      field('max_discard_seg', 32, p.CONFIG_MAX_DISCARD_SEG),
      field('discard_sector_alignment', 32, p.CONFIG_DISCARD_SECTOR_ALIGNMENT),
      field('max_write_zeroes_sectors', 32, p.CONFIG_MAX_WRITE_ZEROES_SECTORS),
      field('max_write_zeroes_seg', 32, p.CONFIG_MAX_WRITE_ZEROES_SEG),
      field('write_zeroes_may_unmap', 8, p.CONFIG_WRITE_ZEROES_MAY_UNMAP),
      { name: 'under way', value: this.#underWay, width: 16, meaning: 'requests that the back end has' },
    ]
  }

  describe(_queue: number, chain: ChainContent): ChainDescription {
    return describeRequest(chain)
  }

  /** @returns false when the queue must rest: the driver broke the protocol, or the back end is full. */
  #begin(queue: DeviceQueue, chain: Chain): boolean {
    const header = readHeader(chain)
    // Without a place for the status, a request can't even be refused.
    if (header === undefined || chain.writableLength < p.STATUS_SIZE) {
      this.#port?.fail(
        header === undefined
          ? `${this.name}: a request of ${chain.readableLength} readable bytes, which is no header`
          : `${this.name}: a request without a writable byte for its status`,
      )
      return false
    }
    const request = this.#checked(readRequest(header, chain))
    switch (request.kind) {
      case 'disk':
        return this.#submit({ queue, chain, command: request.command })
      case 'id': {
        const written = chain.write(0, this.#id.subarray(0, chain.writableLength - p.STATUS_SIZE))
        this.#complete(queue, chain, p.VIRTIO_BLK_S_OK, written)
        return true
      }
      case 'refused':
        this.#complete(queue, chain, request.status, 0)
        return true
    }
  }

  /** What only the device knows: features, and limits that it announces. */
  #checked(request: BlockRequest): BlockRequest {
    if (request.kind !== 'disk') return request
    const { command } = request
    if (command.kind === 'discard' || command.kind === 'write-zeroes') {
      const feature = command.kind === 'discard' ? p.VIRTIO_BLK_F_DISCARD : p.VIRTIO_BLK_F_WRITE_ZEROES
      if (!this.#has(feature))
        return { kind: 'refused', status: p.VIRTIO_BLK_S_UNSUPP, reason: `${command.kind} was not negotiated` }
    }
    return this.#isOnDisk(command)
      ? request
      : {
          kind: 'refused',
          status: p.VIRTIO_BLK_S_IOERR,
          reason: `${command.kind} beyond the disk, or of a read-only one`,
        }
  }

  /** A driver's own mistake is no failure of the host, which people are told of. */
  #isOnDisk(command: DiskCommand): boolean {
    if (command.kind === 'flush') return true
    const count = command.kind === 'write' ? lengthOf(command.pieces) / SECTOR_SIZE : command.count
    if (command.kind !== 'read' && this.#backend.readOnly) return false
    return count <= MAXIMUM_REQUEST_SECTORS && command.sector + count <= this.#backend.sectors
  }

  #submit(waiting: Waiting): boolean {
    // Counted before: the back end may answer within the call.
    this.#underWay++
    if (this.#backend.submit(waiting.command, answer => this.#answered(waiting, answer))) return true
    this.#underWay--
    this.#stalled.push({ ...waiting, command: kept(waiting.command) })
    return false
  }

  #answered(waiting: Waiting, answer: DiskAnswer): void {
    this.#underWay--
    // Without a flush command the driver counts on what was completed to be on the medium (5.2.6.2).
    if (answer.ok && waiting.command.kind !== 'read' && waiting.command.kind !== 'flush' && this.#writesThrough)
      this.#submit({ ...waiting, command: { kind: 'flush' } })
    else this.#finish(waiting, answer)
  }

  #finish({ queue, chain, command }: Waiting, answer: DiskAnswer): void {
    if (answer.ok) {
      const filled = answer.filled === true && command.kind === 'read'
      const written = filled ? command.count * SECTOR_SIZE : chain.write(0, answer.bytes)
      this.#complete(queue, chain, p.VIRTIO_BLK_S_OK, written)
    } else {
      this.#onFailure(`${this.name}: ${answer.reason}; the guest is told of an I/O error`)
      this.#complete(queue, chain, p.VIRTIO_BLK_S_IOERR, 0)
    }
  }

  /**
   * The status is the last writable byte, wherever the data ends.
   * @param data bytes before it that were written.
   */
  #complete(queue: DeviceQueue, chain: Chain, status: number, data: number): void {
    const at = chain.writableLength - p.STATUS_SIZE
    chain.write(at, Uint8Array.of(status))
    // 2.7.8.2: the length is of what was written from the beginning on, without a gap.
    queue.complete(chain, data === at ? data + p.STATUS_SIZE : data)
  }

  /** For back ends that answer later: to be called when answers have come, once for each batch. */
  answersCame(): void {
    const stalled = this.#stalled
    this.#stalled = []
    for (const [index, waiting] of stalled.entries())
      if (!this.#submit(waiting)) {
        this.#stalled.push(...stalled.slice(index + 1))
        break
      }
    for (const { index, enabled } of this.#port?.queues ?? []) if (enabled) this.service(index)
  }

  /** Is every write to be on the medium before it is completed? */
  get #writesThrough(): boolean {
    if (this.#has(p.VIRTIO_BLK_F_CONFIG_WCE)) return !this.#writeback
    return !this.#has(p.VIRTIO_BLK_F_FLUSH)
  }

  #has(feature: number): boolean {
    return ((this.#port?.features ?? 0n) & (1n << BigInt(feature))) !== 0n
  }

  #configuration(): DataView {
    const view = new DataView(new ArrayBuffer(p.CONFIG_SIZE))
    view.setBigUint64(p.CONFIG_CAPACITY, BigInt(this.#backend.sectors), true)
    view.setUint32(p.CONFIG_SIZE_MAX, SIZE_MAX, true)
    view.setUint32(p.CONFIG_SEG_MAX, SEG_MAX, true)
    view.setUint32(p.CONFIG_BLK_SIZE, SECTOR_SIZE, true)
    view.setUint8(p.CONFIG_PHYSICAL_BLOCK_EXP, PHYSICAL_BLOCK_EXP)
    view.setUint16(p.CONFIG_MIN_IO_SIZE, 1 << PHYSICAL_BLOCK_EXP, true)
    view.setUint8(p.CONFIG_WRITEBACK, this.#writeback ? 1 : 0)
    view.setUint16(p.CONFIG_NUM_QUEUES, this.queues.length, true)
    if (this.#backend.readOnly) return view
    view.setUint32(p.CONFIG_MAX_DISCARD_SECTORS, MAXIMUM_REQUEST_SECTORS, true)
    view.setUint32(p.CONFIG_MAX_DISCARD_SEG, 1, true)
    view.setUint32(p.CONFIG_DISCARD_SECTOR_ALIGNMENT, 1 << PHYSICAL_BLOCK_EXP, true)
    view.setUint32(p.CONFIG_MAX_WRITE_ZEROES_SECTORS, MAXIMUM_REQUEST_SECTORS, true)
    view.setUint32(p.CONFIG_MAX_WRITE_ZEROES_SEG, 1, true)
    return view
  }
}

/** A command that waits: its data must not change with the next one's. */
function kept(command: DiskCommand): DiskCommand {
  if (command.kind !== 'write') return command
  return { ...command, pieces: [gather(command.pieces, new Uint8Array(lengthOf(command.pieces)))] }
}

function featureBits(readOnly: boolean, queues: number): bigint {
  const always = [
    ...[p.VIRTIO_BLK_F_SIZE_MAX, p.VIRTIO_BLK_F_SEG_MAX, p.VIRTIO_BLK_F_BLK_SIZE, p.VIRTIO_BLK_F_TOPOLOGY],
    ...[p.VIRTIO_BLK_F_FLUSH],
  ]
  const bits = [
    ...always,
    ...(readOnly
      ? [p.VIRTIO_BLK_F_RO]
      : [p.VIRTIO_BLK_F_CONFIG_WCE, p.VIRTIO_BLK_F_DISCARD, p.VIRTIO_BLK_F_WRITE_ZEROES]),
    ...(queues > 1 ? [p.VIRTIO_BLK_F_MQ] : []),
  ]
  return bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
}
