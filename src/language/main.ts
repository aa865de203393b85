/** The language server as a process: the client speaks to it over Node's channel or over standard input and output. */

import { createConnection, ProposedFeatures } from 'vscode-languageserver/node'
import { assemble } from './features/assembler.ts'
import { MachineFiles } from './index/machine-files.ts'
import { serve } from './server.ts'

serve(createConnection(ProposedFeatures.all), { files: new MachineFiles(), assemble })
