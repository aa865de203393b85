/** "A packet through a virtqueue": one request of the smallest driver, from its queue's set-up to its data. */

import type { Queue, Step, Stop } from '../observation.ts'

/** Bytes of the request's header, of its sector and of its status. */
const CHAIN = [
  { length: 16, direction: 'read' },
  { length: 512, direction: 'write' },
  { length: 1, direction: 'write' },
]
/** Bytes that the device writes: the sector and the status. */
const WRITTEN = 513

const asks = () => ({ queue: true })

export const VIRTQUEUE_STEPS: readonly Step[] = [
  {
    ...{ id: 'virtqueue.agreed', kernel: 'virtqueue', asks },
    done: ({ now }) => {
      const { status = '', enabled } = queueIn(now, 'set_up_queue') ?? {}
      return status.includes('FEATURES_OK') && !status.includes('DRIVER_OK') && enabled === false
    },
  },
  {
    ...{ id: 'virtqueue.ready', kernel: 'virtqueue', asks },
    done: ({ now }) => {
      const { status = '', enabled, pending } = queueIn(now, 'post_request') ?? {}
      return status.includes('DRIVER_OK') && enabled === true && pending === 0
    },
  },
  {
    ...{ id: 'virtqueue.posted', kernel: 'virtqueue', asks },
    done: ({ now, asked }) =>
      now?.queue?.usedIndex === 0 &&
      asked.some(answer => answer.kind === 'virtqueues' && answer.queue.pending === 1 && hasChain(answer.queue)),
  },
  {
    ...{ id: 'virtqueue.kicked', kernel: 'virtqueue', asks },
    done: ({ now }) =>
      queueIn(now, 'notify')?.pending === 1 && now?.reason === 'exception' && now.text.endsWith('kick'),
  },
  {
    ...{ id: 'virtqueue.used', kernel: 'virtqueue', asks },
    done: ({ past, now }) =>
      past.some(({ queue }) => queue?.pending === 1 && queue.usedIndex === 0) &&
      now?.text.includes('used') === true &&
      isServed(now.queue),
  },
  {
    ...{ id: 'virtqueue.interrupt', kernel: 'virtqueue', asks },
    done: ({ now }) => {
      const queue = queueIn(now, 'disk_interrupt')
      return isServed(queue) && queue?.completed.at(-1)?.steps.includes('interrupt') === true
    },
  },
  {
    ...{ id: 'virtqueue.data', kernel: 'virtqueue', asks },
    done: ({ past, console, exitCode }) =>
      exitCode === 0 &&
      console.includes('virtqueue: sector 2 begins with RINGSIDE') &&
      past.some(stop => queueIn(stop, 'disk_interrupt') !== undefined),
  },
]

/** At a stop of the kernel in this function. */
const queueIn = (stop: Stop | undefined, name: string): Queue | undefined =>
  stop?.cpl === 0 && stop.function === name ? stop.queue : undefined

const hasChain = ({ chains }: Queue): boolean =>
  chains.some(
    ({ descriptors }) =>
      descriptors.length === CHAIN.length &&
      descriptors.every(({ length, direction }, i) => length === CHAIN[i].length && direction === CHAIN[i].direction),
  )

const isServed = (queue: Queue | undefined): boolean =>
  queue?.pending === 0 && queue.usedIndex === 1 && queue.completed.at(-1)?.written === WRITTEN
