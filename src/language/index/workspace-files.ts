/** Files of the workspace's folders, and no others, wherever they lie. */

export interface WorkspaceFiles {
  /** Files that a source names were asked for and may come: what is missing now is not missing yet. */
  readonly awaited: boolean

  /** @param uris of the workspace's folders; those that can't be read have no files for us. */
  setFolders(uris: readonly string[]): void

  /** Text of a file; undefined when it is in no folder of the workspace, not there, too large or no file. */
  read(uri: string): string | undefined

  /** The file that `include` names in `from`: beside it, else from a folder of the workspace. */
  resolve(from: string, include: string): string | undefined

  /** Sources in the workspace's folders, by their endings, up to a bound. */
  list(): string[]
}
