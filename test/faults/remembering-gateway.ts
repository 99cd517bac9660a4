import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { logger } from '../../src/adapters/log.ts'
import type { loadConfig } from '../../src/config/config.ts'
import type { startService } from '../../src/process/start.ts'

// `remembering-gateway.ts <folder of the program> <journal>`: the mock gateway of the program as it
// is shipped, with a journal in a file. So it knows after a SIGKILL what it did before.
const [folder = '', journalPath = ''] = process.argv.slice(2)
const built = <Module>(path: string) =>
  import(pathToFileURL(join(folder, path)).href) as Promise<Module>
// What is built of these files.
const config = await built<{ readonly loadConfig: typeof loadConfig }>('config/config.js')
const log = await built<{ readonly logger: typeof logger }>('adapters/log.js')
const start = await built<{ readonly startService: typeof startService }>('process/start.js')
const settings = config.loadConfig(process.env)
const roles = { api: false, worker: false, mockGateway: true }
const logs = log.logger(settings, 'mock-gateway')
const at = { url: '', port: settings.mockGatewayPort, journalPath }
const { url } = await start.startService(settings, roles, logs, at)
logs.info({ url }, 'listening')
