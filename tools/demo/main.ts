import { newProgram, runProgram } from '../../src/process/command-line.ts'
import { demoCommand } from './command.ts'

const program = demoCommand(newProgram('npm run demo --'))
runProgram((args) => program.parseAsync(args, { from: 'user' }))
