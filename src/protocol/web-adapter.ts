/** What passes between an editor in a browser and the debug adapter in a worker beside it. */

/** A file as the worker shall find it. */
export interface WebFile {
  /** Absolute, with `/`. */
  readonly path: string
  /** Absent: only that there is such a file is of interest, as with sources, which the editor opens itself. */
  readonly bytes?: Uint8Array
}

/** To the worker. */
export type ToWebAdapter =
  | { readonly type: 'files'; readonly files: readonly WebFile[] }
  /** A message of the Debug Adapter Protocol. */
  | { readonly type: 'message'; readonly message: object }

/** From the worker: messages of the protocol, and nothing else. */
export type FromWebAdapter = object
