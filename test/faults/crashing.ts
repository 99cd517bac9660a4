import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { serve } from '../../src/process/serve.ts'
import { crashing } from './crash-points.ts'

// `crashing.ts <folder of the program> <role> <point>:<nth>`: run one role of the program as it is
// shipped, with ports that kill it at that point.
const [folder = '', role, armed = ''] = process.argv.slice(2)
const module = pathToFileURL(join(folder, 'process/serve.js')).href
// What is built of src/process/serve.ts.
const program = (await import(module)) as { readonly serve: typeof serve }
const roles = { api: role === 'api', worker: role === 'worker', mockGateway: false }
await program.serve(roles, { decorators: crashing(armed) })
