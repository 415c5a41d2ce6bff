// Calls sops by way of sops-wrapper: node sops_wrapper.cjs PACKAGES FILE, or PACKAGES and two arguments or more
const { createRequire } = require("node:module");

const [packages, ...rest] = process.argv.slice(2);
const { decryptSops, execSops } = createRequire(`${packages}/`)("sops-wrapper");
process.stdout.write(rest.length === 1 ? JSON.stringify(decryptSops(rest[0])) : execSops(rest));
