/** How files get to a server that has none of its own: the client reads them, and hands them over. */

/** The client's notification: texts of files, or that there are none. Its parameter is {@link Handover}. */
export const HANDED = 'ringside/files'

/** The server's: sources name files that it does not know. Each is answered by {@link HANDED}. */
export const WANTED = 'ringside/wanted'

export interface HandedFile {
  readonly uri: string
  /** Without it there is no such file, or none that can be read. */
  readonly text?: string
}

export interface Handover {
  readonly files: readonly HandedFile[]
}

export interface Wanted {
  readonly uris: readonly string[]
}

/** Characters of all files together: they are kept in the page. */
export const MOST_CHARACTERS = 16 * 1024 * 1024
