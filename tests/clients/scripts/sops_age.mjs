// Reads a file with sops-age alone: node sops_age.mjs PACKAGES FILE IDENTITY
import { createRequire } from "node:module";

const [packages, path, secretKey] = process.argv.slice(2);
const { decryptSops } = createRequire(`${packages}/`)("sops-age");
process.stdout.write(JSON.stringify(await decryptSops({ path, secretKey })));
