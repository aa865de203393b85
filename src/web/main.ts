/** What the worker runs. */

import { serveWorker, type WorkerScope } from './adapter-worker.ts'

declare const self: WorkerScope

serveWorker(self)
