/**
 * What a worker does that serves a disk: it opens the file itself, waits for kicks, and answers by the ring in shared
 * memory. What the host refuses goes back with the answer; anything else ends the worker, and the machine's thread tells
 * people.
 */

import { EventDescriptor } from '../../../util/event-descriptor.ts'
import { DiskError } from '../disk.ts'
import { RawDisk } from '../raw-disk.ts'
import { type Serve, ServedRing } from './request-ring.ts'
import type { WorkerStart } from './worker-start.ts'

/** Comes back when the machine's thread wants no more, and everything is answered. */
export function serveDisk({ path, readOnly, ring, kick, answered }: WorkerStart): void {
  // The machine's thread has the file's lock.
  const disk = new RawDisk(path, { readOnly, locked: true })
  const requests = new ServedRing(ring)
  const kicks = new EventDescriptor(kick)
  const answers = new EventDescriptor(answered)
  for (;;) {
    requests.serve(serving(disk), () => answers.signal())
    if (requests.stopWanted) break
    kicks.wait()
    kicks.take()
  }
  disk.close()
  requests.stopped()
}

function serving(disk: RawDisk): Serve {
  return ({ kind, sector, count, data }) => {
    try {
      if (kind === 'read') disk.readInto(sector, data)
      else if (kind === 'write') disk.write(sector, data)
      else if (kind === 'flush') disk.flush()
      else disk.writeZeroes(sector, count)
      return undefined
    } catch (error) {
      if (error instanceof DiskError) return error.message
      throw error
    }
  }
}
