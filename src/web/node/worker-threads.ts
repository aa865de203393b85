/** `node:worker_threads` of the browser's bundle: there are none, since what they serve is refused before. */

export const workerData = undefined

export class Worker {
  constructor() {
    throw new Error('a browser has no threads of Node.js')
  }
}
