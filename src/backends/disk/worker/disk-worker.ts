/** The worker of a disk where the sources run as they are. */

import { workerData } from 'node:worker_threads'
import { serveDisk } from './serve-disk.ts'
import { workerStart } from './worker-start.ts'

const start = workerStart(workerData)
if (start === undefined) throw new Error('this module serves a disk as a worker of Ringside, and can be nothing else')
serveDisk(start)
