/** The language server where there is no machine: files come from the client, and no assembler runs. */

import type { Connection } from 'vscode-languageserver'
import { serve } from '../server.ts'
import { MOST_FILES } from '../source-names.ts'
import { HandedFiles } from './handed-files.ts'
import { HANDED, type Handover, MOST_CHARACTERS, WANTED } from './handover.ts'

export function serveHanded(connection: Connection): void {
  const files = new HandedFiles(uris => void connection.sendNotification(WANTED, { uris }))
  const server = serve(connection, { files })
  connection.onNotification(HANDED, (handover: Handover) => {
    const left = files.take(handover.files)
    if (left.length > 0)
      connection.console.warn(
        `${left.length} files are left out, among them ${left[0]}: there is room for ${MOST_FILES} files with ${MOST_CHARACTERS} characters`,
      )
    server.filesChanged(handover.files.map(({ uri }) => uri))
  })
}
