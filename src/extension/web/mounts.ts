/**
 * Paths and addresses: the adapter knows files by paths, a workspace in a browser by addresses (`vscode-vfs://…`). A
 * file's path is that of its address; which address it came from, the folder tells that it lies in.
 */

export interface MountedFolder {
  /** `scheme://authority`, without the path; what VS Code calls an address without its path. */
  readonly origin: string
  /** Of the folder, with `/` and none at the end. */
  readonly path: string
}

export class Mounts {
  readonly #folders: () => readonly MountedFolder[]
  readonly #packaged: MountedFolder

  /** @param folders of the workspace, which come and go. @param packaged where the extension itself lies */
  constructor(folders: () => readonly MountedFolder[], packaged: MountedFolder) {
    this.#folders = folders
    this.#packaged = packaged
  }

  isPackaged(path: string): boolean {
    return isIn(path, this.#packaged)
  }

  /** The address of a file; that of a path which lies in no folder has the scheme `file`, which nobody serves. */
  uriOf(path: string): string {
    const all = [...this.#folders(), this.#packaged].filter(folder => isIn(path, folder))
    const nearest = all.sort((a, b) => b.path.length - a.path.length)[0]
    const encoded = path.split('/').map(encodeURIComponent).join('/')
    return `${nearest === undefined ? 'file://' : nearest.origin}${encoded}`
  }

  /** The path of an address; what is no address is a path already. */
  pathOf(text: string): string {
    const match = /^[a-z][a-z0-9+.-]+:\/\/[^/]*(\/[^?#]*)/i.exec(text)
    return match === null ? text : decodeURIComponent(match[1])
  }
}

const isIn = (path: string, folder: MountedFolder): boolean => path.startsWith(`${folder.path}/`)

/** A message with every path of a source in it changed; what has none is the same object. */
export function withSourcePaths(value: unknown, change: (path: string) => string): unknown {
  if (Array.isArray(value)) return value.map(each => withSourcePaths(each, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      if (name === 'source') return [name, sourceWith(member, change)]
      if (name === 'sources' && Array.isArray(member)) return [name, member.map(source => sourceWith(source, change))]
      return [name, withSourcePaths(member, change)]
    }),
  )
}

function sourceWith(source: unknown, change: (path: string) => string): unknown {
  const has = typeof source === 'object' && source !== null && 'path' in source && typeof source.path === 'string'
  return has ? { ...source, path: change(String(source.path)) } : source
}
