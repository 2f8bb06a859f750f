d00755 0 0      0 8a657ec8983e5d810eb9f412d18031737dece63c8ffb6eceef64c0ce866c4265 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /
l00777 0 0      0 389846c2702216e1367c8dfb68326a6b93ccf5703c89c93979052a9bf359608e /bin -> usr/bin
l00777 0 0      0 d37269e3f46023fd0275212473e07011894cdf4148cbf3fb5758a7e9471dad8e /ostree -> sysroot/ostree
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /boot
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /dev
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /proc
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /run
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /sys
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /sysroot
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /tmp
d00755 0 0      0 e1164558eb6f1ad4ecf17c6b111a77beb0021a796e34f617dffdc2857823a4c1 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr
d00755 0 0      0 4ec17ebefc4f1cd35321c4d631e4f0af146516e1b27eaa7e2fb22a05b43cde0b 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/bin
-00755 0 0     24 811c4e32f2dc7b83d63c81dd79ec1083f2dc19f4d0470aca97a2e6b974920f11 /usr/bin/hello
-04755 0 0   5004 c7e79f7c976302ec5a16673bd547e605508e7fe07574835fa819912be127ca26 /usr/bin/suid
-00755 0 0     20 5896a30c026b17d421a454b770ae6853357776a8fe8303ab5258707f99be2d35 /usr/bin/tool
-00755 0 0     20 5896a30c026b17d421a454b770ae6853357776a8fe8303ab5258707f99be2d35 /usr/bin/tool-link
l00777 0 0      0 570f9acff0d43b1a44f83b9c9b414327f0aeff6a8b486d2d10af3985fca23a90 /usr/bin/tool-sym -> tool
d00755 0 0      0 23269097d633f777f168718aec1d5b951b1607d6e09d0794db78097162c2809a 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/etc
-00600 0 0      6 5175103635f25fded951763fb5d2af15d4f20a53ffa7e11b23c745f9c0b9efed /usr/etc/new.conf
-00644 0 0     30 b7d8bf29386054f99153167840139865a50aad4856171e4930242916ab9c370d /usr/etc/passwd
-00600 0 42     15 a2d910a19b5c8ec8515bcf5998e7aecff7eb43c1eea664d76fc907f3697505c7 /usr/etc/shadow
d00755 0 0      0 bec6d1e2c98357845fbab7942545fff2e1f0fdca207d47921500961710a7020a 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/etc/sub
-00644 0 0      5 495397d8f0debc0bb19564edfd76d0b5e1f424c7172b7535986e1378b162de04 /usr/etc/sub/conf
d00755 0 0      0 c4f2147fb689260885bd437cadcf64c633be251e6921b96bbca5da0e070532e8 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/lib
l00777 7 8      0 96128a5183aef438282b8f274902880f09171499ed0251ae8f5857fa20a0217b /usr/lib/abs -> /usr/bin/hello
l00777 0 0      0 e8df4a1a22c97f77d901c59703ce31500b9e9c28c154b73d3295c6c62bcba73b /usr/lib/dangling -> nowhere
l00777 0 0      0 ffadebc748ab8344c8c2bbbc619140e65a0ef2d2b50d857aa2dda37bcdd5013d /usr/lib/dd -> ../../etc/passwd
l00777 0 0      0 420f0c9c842d91772937fadaed6e6d7a3a2cb9f4a41483d74718353c16650b1e /usr/lib/long -> xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
-00644 0 0     40 409222ef69a6480b7570ffed3cf698d3445f8df81c535eb1b2e542f69db1888f /usr/lib/os-release
d00755 0 0      0 f95e083c596a7aa31aef9ef76dd3d828c430c1fc153689bd21499abc1de54bd3 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/lib/modules
d00755 0 0      0 dee2c68a90f420991578af36df5b2e750b0ef3fd194fa2b5dcfd4b14a0757120 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/lib/modules/6.1.0-test
-00644 0 0  40000 b12c359d94b6dc83a9fecd618ae2c9c232a0e21e4916fde76ddb20cec21cb2ff /usr/lib/modules/6.1.0-test/initramfs.img
-00644 0 0  70006 676f16ead47655404459610fd894dfbbe35af7d1b9fbbe91fd3f981b3d236fda /usr/lib/modules/6.1.0-test/vmlinuz
d00755 0 0      0 4ee500b40eb9a752787eb9ca565c52b464ef547733d0467fdb7ad51e57d73819 39d5bf7e3048ac8b97aaeddc241d4b35ead530b4d1fc91d41cc449309c3bfcb6 /usr/share
-00644 0 0 600000 d3ac64fcbeabb1cd8c8cb8f5b95ecac1d6e433b2f74e28e2e5b57024098bdf6b /usr/share/big.bin
-00755 0 0      4 3b2b82981bd655e8aae246c4128ae77f4565e5bfa200711234723c17729c3fe6 /usr/share/caps
-00644 0 0      8 c9a634aea12adbf5723a252751af9970ec31f74abf0a2c1d08e03f861b2231a3 /usr/share/derived.txt
-00644 0 0      6 eca27746dd7446bff01773e06c92d41e0d1727b6b50b32a9fe9f10ccbda32aab /usr/share/xattr
-00644 0 0 500000 a1541d594d4ddd14e717ec4cd7f41c0007d4c7bfc0551e89ec571ce0f43ae71b /usr/share/zeros.bin
d00755 0 0      0 2ff64101578d92f31deaf9dff0fcc427fc542bf71c1e9d5d2dc3d900d3728eec 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/dup
-00755 0 0     13 e4df4100a7829feeb55c4bb221801a3b9c813b9f9e191fd293f50c0914adbfbc /usr/share/dup/exec
-00644 0 0     13 b1021e44833067f7e9a8010d9cf61294f0eea2bdc77edfc0130d60a12c8fa9e5 /usr/share/dup/one
-00644 1000 1001     13 a1e555914ebe2f1d96e04ffcecb70dcd0c7bd6dd0a435d50b08f936c5631cd4f /usr/share/dup/two
d00755 0 0      0 5aff88aa0dc24ffed5060983cc0ac1d94141a1efd5f23e24e6fca0797e09b5ed 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/empty
-00644 0 0      0 cc700d46f407c6c5ab2d5dde474366a928b7398277e61162e7f8ec06f469f07e /usr/share/empty/a
-00644 0 0      0 cc700d46f407c6c5ab2d5dde474366a928b7398277e61162e7f8ec06f469f07e /usr/share/empty/b
-00644 0 0      0 cc700d46f407c6c5ab2d5dde474366a928b7398277e61162e7f8ec06f469f07e /usr/share/empty/c
d00755 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/emptydir
d00755 0 0      0 b1fb2caeaa6375e207352e7e15c40cf1cbff600ab3ddedd9d349382f99702cc6 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/long-directory-name-long-directory-name-long-directory-name-long-directory-name-long-directory-name-long-directory-name-
-00644 0 0      5 18a97ee2ab197c8c80c5ca57424e3cddd63d50e68456197f361354653cf8828f /usr/share/long-directory-name-long-directory-name-long-directory-name-long-directory-name-long-directory-name-long-directory-name-/long-file-name-long-file-name-long-file-name-long-file-name-long-file-name-long-file-name-long-file-name-long-file-name-.txt
d00755 0 0      0 2ffe43c8ec32f4a24e305a7b4fd4cb1c516d2e5036adce3fdb96890d0c75a725 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/many
-00644 0 0      5 6a7a8c240e144f29b544ecfc28e1a97a98dad3ed033f381156b5bc193d6498cf /usr/share/many/only
d00755 0 0      0 e77d3ece43374968575433e1d4db719ef6d680d9563eec5d05a6611725d3ab95 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr
d00755 0 0      0 ca2ca794500943f706f071740d0ca3c1bdbe36c293ae52303a5d5a02df5a8c25 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share
d00755 0 0      0 6287c4cba0826417f469e005187a2c5067d2c168262a92dc767efcab2215a41b 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr
d00755 0 0      0 8e291fcd5cdf2826752fb4a2d507cdc74f4500363a2c55b4272a6ddc146d0922 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share
d00755 0 0      0 923e0a51b09ccafa091048e9757518f9eab7d6d6d3009f56a5aff014dc0d5f36 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 ccdb247924aeb5a52d91ad6dc2dc1bb8790708a18a2b347725bd6d8343fc2b8d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 b994a51c8733b8d488f2f7f755bcdb311917a7e0b48b4b984e20b0578054d299 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 6da0be3f44dcfa15dc012e84c73d88d6a265c9664c5b7b63196880c8cd0273cd 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 f67770db071ffdc8b70c746ad5cee64a68ff6e179f98eca06947f003b9b1c6a2 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 c33817831c65b03d806aff6acb7e7cfa1f7a7fedf79a22d58994bd5adfa4665e 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 5d8be76303bca4e171e3c3562a97b4daa22ea811082e97f829f14170ea9f599f 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 8368f2b1d31680da0e3d058fa46aadec2aa226c704bab200c0b7364a901d63e7 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 a727ee89f2d4af4fc82deb7ecb5aebb0c7c615abbbd609a43177ef7379802e0c 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 ca08bc3d1319462266def39b59f1cbad058f981e4fad352a3dddba820b560503 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 52f1b048cdb9f2b745baf301e97bb78c20a72bf560fe952214040fc7c6ace5a3 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 163408d7949afdb3b20dbcfa5a27f4d70653cef1520f6e183ad8e0d07b1479d1 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 7ab71124f85ac123357cb7784a213a122ba530e34936ee8647c6864d1019ec8f 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 bdbac63d901e03856efadced217e635a625a0ac51a48400049c94ec3600cb2bb 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 4ebc59766b80697fb23ad38c66cb73105d2eeb0446b0d024b3d2afbcffbff84e 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 fe46cc5270df0faea3f651f1f29c38a615bc5972f43ba731313f4bd7dda5e011 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 498c3b4adc0dfdbb1d85c77253beafee6aea80224571cec4a473e10fc5dce9ed 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 ccbeff9e20ddef2640f6808ca90db7edca6ca0bfc57ef7ecbf47734b2f453464 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 77f7cfcb7eb944d28c45d4db618feb4282cc861df1b78349d08501dc9e8f3b17 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 bee66d891f4932a30e8870b8c684767feec3ac7b20cde95433d37ed9a881b172 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 964a3279460e5ce71f402f8e4bc5c5c9ac6a6afc36942352131c0e09706f80ea 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 46da6515f0d92db0315ea80cb48a620573c6fae1df9295a245d191b604dcb032 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 9989e79342e72e89573591d6f9997225bd461b8d3fbbc84eeaac18b9439c6796 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 39f2063da7daf74b792e41d559c51a8ee9b78b8e57c70384596030032ad778e1 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 fe1dd1cafbb5d5cd025cc6f20b2da5b76bc97847d17e460a0d93a32f9bb50eaf 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 2da343711fb326a5a76c32c5aa2057d8f850f3496b6dfc82b8599df683f1c34d 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 39fdfb4f54dcabc731547cbe0e7e73eeef811bdbfec54ef6db2ae51401df3c87 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 5d9aeae50bbd6642ec383b6ca5a5cf65f96ecf68211144950b0b38c23c5ad8e3 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 0e5d98b4d32ec8c11a522244334ee22746fd8f4bdf80b42c12a36b1f3aff12e6 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 f7f1a8b14e091e336c806a0b9ba1a46caef3b36f71e4accbeeebc26ae0b06015 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 c9199b469efc9044c8fd7da743ab0e4e2b526e4111fa4ea6c45e39ef9985985e 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 fb5ab81a0f55c9723c9295d69edde181d449743eb1add06eff0f024e50fad491 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 62c5b2d5e51456cca7664e8f975d56c43c8b3e42fa2bc30801e298b106b84601 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr
d00755 0 0      0 c80b736a34bcceaf11d097616eb35007b6826b59fb6c80ad04d379b66da13531 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share
d00755 0 0      0 0ffe77760cfe5c4e40002c2287a4635be63da501d4ec1762bb47504438ca6de8 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/n
-00644 0 0      5 a1fb8e2007ba07825b8fe14e0776997a2d1a856759e31bf7d16ebcb5a7627844 /usr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/nusr/share/n/deep
d02775 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d 9831eb8106d9d8986437bb1ed7f7e25affd30a630be9cefa3c200b3a5b40af76 /usr/share/sgid
d01777 0 0      0 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d bbe8d5c22ca8a645068a1aa51a59e117f139319d9a791e4d4c0d27dae64cc8c7 /usr/share/sticky
d00755 0 0      0 c5af86763e4bc0f22c0fba7315e247e2ea3c11a89f0cb83ad4a2fe75eb2e1ee3 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /usr/share/unicode
-00644 0 0     13 e9d92afeb25bcd80d77137895bfcefe2a9c63fde67532dd9de6f83da9b2db61e /usr/share/unicode/héllo wörld 日本.txt
d00755 0 0      0 82de27c1437f90f0ebba225ecf8dafb36230cd2341210c22a9d3ed8bbbfd2eee 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /var
d00755 0 0      0 7c0ebdcb3b9ecc178badd4d1b9ad6113f52e84a9a68f36cb51929ba906307e41 446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488 /var/lib
-00644 0 0      6 e06c0c876faa2ccd7da5e110b8fff01642052c13c992996c687cdc8cb5f02bb2 /var/lib/state
