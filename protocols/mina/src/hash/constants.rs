//! Poseidon's numbers for Pallas' base field: Mina's `kimchi` parameters, public constants of the network.

use super::poseidon::WIDTH;

/// Rounds of a permutation, all of them full.
pub(super) const ROUNDS: usize = 55;

/// The matrix that mixes, row by row; lowest limbs first.
#[rustfmt::skip]
pub(super) const MIXING: [[[u64; 4]; WIDTH]; WIDTH] = [
    [
        [0xb7ea_1fac_679c_7903, 0xe20a_5630_7d64_91e7, 0x4959_b9be_f59b_4e60, 0x1a9b_d250_757e_29ef],
        [0x96b4_8a73_20c5_06cd, 0x2e6d_5d45_5ae4_a136, 0x7e2d_64f6_a030_aa24, 0x384a_a09f_af3a_4873],
        [0x0612_17be_9e6c_fed5, 0xf834_6506_bfa6_d076, 0x064d_5ce4_a7a0_3653, 0x3d2b_7b02_09bc_3080],
    ],
    [
        [0x24b7_aaf3_b4bf_3a42, 0xa798_68a4_a8a5_913e, 0x0b10_7983_afcf_abbe, 0x09ee_57c7_0bc3_5122],
        [0x1e9a_5b54_36a2_458f, 0x3115_267f_3522_5d7e, 0x1768_4d3a_d4c8_5981, 0x2098_9996_bc29_a96d],
        [0x347c_db74_c3b2_e69d, 0x191e_dde8_a563_2298, 0x3211_6419_ee7f_26d9, 0x14e3_9adb_2e17_1ae2],
    ],
    [
        [0x357f_1123_16ef_67cb, 0x5452_d5d4_4159_7a94, 0xa959_0c1d_f621_818b, 0x1745_4435_7b68_7f65],
        [0xfcee_35f0_2c2c_4137, 0x95df_fc53_212d_b207, 0xcfbf_15b0_166b_b25f, 0x3ca9_263d_c1a1_9d17],
        [0x4d65_81d5_0aae_114c, 0xb2dc_21d2_69ba_7c4c, 0xb7a8_12f8_0b7b_0373, 0x3cf1_fbef_75d4_ab63],
    ],
];

/// What is added at the end of each round; lowest limbs first.
#[rustfmt::skip]
pub(super) const ADDED: [[[u64; 4]; WIDTH]; ROUNDS] = [
    [
        [0x6603_fd6d_9365_9b47, 0x02b3_6442_9677_c8ff, 0x89fc_8ae5_f077_57f2, 0x2ec5_59cd_1a1f_2f68],
        [0xb2b3_0895_f0aa_3bad, 0x8662_2832_2975_7711, 0xe064_d91c_17eb_1edb, 0x2553_b08c_7885_51bf],
        [0x71a7_b65f_2bfa_fe4e, 0x8f16_1be1_f4d9_4163, 0xb6f2_8d61_e082_d36a, 0x25a7_06fb_0f35_b260],
    ],
    [
        [0xea8c_faaf_3ee3_9ba0, 0x7522_5081_7a94_5abe, 0x448d_0e7d_d77a_aa04, 0x37c0_281f_da66_4cc2],
        [0x5aaa_2910_4059_36b6, 0x3980_eb64_a453_573c, 0x8582_eace_eb3f_a9ca, 0x1404_8832_1291_998b],
        [0xb49c_d91a_e116_9378, 0x3b01_46fd_7fc6_32df, 0x809a_ad5e_ab47_b5c8, 0x3a73_fe35_b1bd_d66b],
    ],
    [
        [0x7369_f59f_468d_7be6, 0xd3e2_1de4_db10_dd3a, 0x0624_5711_f26c_0635, 0x21b7_c2b3_5fd7_710b],
        [0xa34d_6653_6d09_cad7, 0x29d1_885e_7bf7_7fd6, 0xf652_c8a4_847a_a18a, 0x1803_a068_d25f_ef2e],
        [0xd158_a70f_bbd9_724b, 0x833e_b77c_58c4_6548, 0x3772_cf7e_03c8_0c2e, 0x291d_e61c_5e62_6821],
    ],
    [
        [0xa501_2e89_babe_ad13, 0xd937_fdef_ecc6_905a, 0x3607_cbe1_b9c4_82fd, 0x2300_43a0_dc2d_fab6],
        [0x6856_5674_e787_64f4, 0xa029_2498_c10c_6e23, 0xfa31_44ef_cf47_a0f2, 0x218a_f77a_05c5_02d3],
        [0xea40_058e_fb50_6117, 0x1695_5c71_02cc_9a95, 0x071d_5572_9d13_a9b2, 0x223e_2d94_c177_d27e],
    ],
    [
        [0x4ce2_f585_ae5f_6a38, 0x902c_3c38_02e7_38f2, 0xe8b7_c5ad_2129_394e, 0x2a18_257c_15ad_9b6f],
        [0x00bd_def0_6158_dcf8, 0x4a65_aa5e_f814_e364, 0xd2e4_9404_69d1_9947, 0x0a6f_7ba7_5f21_6403],
        [0x3161_5c6e_5b93_e31e, 0x5e04_fe76_6178_bdc7, 0xfef5_b4cd_de65_d00d, 0x169b_e41c_6227_956e],
    ],
    [
        [0x801b_94d0_728f_e663, 0x417e_290a_1cfe_bc01, 0x1774_0830_7273_4544, 0x2e28_f50a_9a55_d2e9],
        [0x4984_80b9_902f_2819, 0x4b17_3ee6_8628_fd90, 0x8310_40cf_c744_3246, 0x0fde_df8d_a865_4a22],
        [0xdb1f_2f60_42cf_04e2, 0xa119_7162_d0a0_bec3, 0x9dd8_bc9e_90a7_46fd, 0x046a_3ed9_863d_2d73],
    ],
    [
        [0x19ae_7ba1_f9b2_ed76, 0x9458_0757_78d3_5c36, 0x2867_0bac_ab86_ac1e, 0x219e_08b4_60c3_05b4],
        [0x018d_4e12_424e_62ca, 0x6e33_b1ff_a146_3379, 0x4e87_28eb_43e3_f12a, 0x38bb_36a1_2ebc_ec4d],
        [0x04ee_9a71_5fbe_dee6, 0xbc16_4a03_ab7e_9517, 0xfbd6_a8fc_cdae_0aa9, 0x1e9a_a3fe_25d1_16cc],
    ],
    [
        [0x4f2d_b450_47d5_f18b, 0x7d1e_c300_da86_a169, 0xfb84_4ff1_a755_8b81, 0x030f_33ed_70da_4c2b],
        [0x0b7a_f75c_bcbe_4bb1, 0x681c_39f6_c22d_9e37, 0xab41_7cf2_c473_89bf, 0x0282_b041_3735_0495],
        [0x4953_ac98_fec8_25f0, 0xe0f2_20fe_1d93_d1b5, 0x9690_5b88_ff05_fdf3, 0x09b1_528d_ea2e_b5bd],
    ],
    [
        [0x0e52_9cda_03d9_ef71, 0xfa86_4b34_68b5_f920, 0x11c7_a8bf_d5e5_5567, 0x3008_3dbb_b5ea_b393],
        [0x9dc1_7bbe_a5bc_d094, 0x14ee_4e5a_91db_c920, 0x1223_9cbf_51de_c0e7, 0x017e_ace7_3cf6_7c61],
        [0x3370_cf41_1842_8097, 0x4e21_5df9_7e92_8794, 0x65b9_0f8d_5686_83d5, 0x37af_1de8_f547_5ba1],
    ],
    [
        [0xa4ba_a73e_a0e6_6f51, 0x03f0_bcb8_4012_f922, 0x0ec6_f2b0_f122_736d, 0x16ff_7592_836a_4534],
        [0xa2d1_d008_4efc_3fd9, 0x7691_5feb_c0e4_0f83, 0xe60b_2eda_bb18_53f4, 0x1a59_85d4_b359_d03d],
        [0x4d46_9698_e1e1_f975, 0xc5b7_73b9_8ab6_55fd, 0x8ab9_782b_1abb_267f, 0x255a_9d4b_eb9b_5ea1],
    ],
    [
        [0x7bc4_231f_5ecb_936a, 0x967b_ac58_0a0b_9ee5, 0x2802_1712_be81_e905, 0x34a8_d9f4_5200_a9ac],
        [0x8463_e788_b9a2_dcda, 0x4b4e_c6c4_57b0_425b, 0xf33e_dd20_94f1_443b, 0x0979_556c_b3ed_cbe4],
        [0x727f_6266_7927_2654, 0x279f_6239_379c_689a, 0x0666_b78b_45cf_add5, 0x2a4d_028c_09ad_39c3],
    ],
    [
        [0xae71_4303_7015_4b33, 0x4155_23fb_54f2_4ec8, 0x71fe_4e89_984e_2c87, 0x0c31_b68f_6850_b3bd],
        [0xc023_ed24_54f2_ed90, 0x1a21_1d13_9f2d_ff5a, 0x6b8e_01cf_07d7_6c61, 0x1a27_ca0b_953d_3dba],
        [0x3791_6b99_0530_3180, 0xf268_b952_dfd9_5a39, 0xb86d_7169_196d_2212, 0x109a_e97c_25d6_0242],
    ],
    [
        [0x3caf_53ca_a83a_d9c4, 0xc996_5881_7088_7868, 0xb9ab_ac08_9ec2_de79, 0x3698_c932_f2a1_6f7b],
        [0xb7ca_c7ed_32ad_e6c0, 0x0e03_1c8c_76a9_3497, 0xc136_0f8a_9a9f_a0be, 0x3c7e_25e0_ac8f_ba3d],
        [0x2375_12f4_8c85_8a79, 0xefab_3099_360e_c960, 0xa7df_ca0f_5492_f1b6, 0x2fc5_023c_5e4a_ed5a],
    ],
    [
        [0x85ba_8d64_7eda_6765, 0xf530_63d3_a2e8_7fd2, 0x6fb4_fdfa_2a01_8e03, 0x2c12_4735_f3f9_2454],
        [0xe0d9_8340_a338_2251, 0x26c4_4b23_f348_6fbe, 0xf903_3f8b_6c1e_3571, 0x12c8_75c9_b795_91ac],
        [0xd3e4_73fd_8855_528d, 0x131c_b165_a353_073f, 0x9a7d_b847_6aed_a5a5, 0x3cda_935e_8958_57d3],
    ],
    [
        [0x0def_1512_815d_8759, 0x5887_79a7_368e_3d01, 0xf1eb_922e_f80b_0852, 0x218e_b756_fa5f_1df9],
        [0xb082_a3cf_301c_fbc6, 0x57d5_9885_522f_25f4, 0xf171_fbb4_329b_ca0c, 0x23bc_f103_2957_015e],
        [0x1c1f_6562_05d7_bceb, 0xc7f3_867b_3dd7_57c7, 0x7df6_4b9e_4d62_badb, 0x1747_4c3b_6a9b_c105],
    ],
    [
        [0xc9e8_70ed_ffa3_d550, 0xae3d_4c18_535f_4b60, 0xeb41_745d_3bd4_12c2, 0x0198_26c0_ee22_972d],
        [0x5ed6_1992_bc43_efa9, 0x8816_bed0_368d_ed43, 0xf327_5f69_8319_b68d, 0x30bc_b17d_fd62_2c46],
        [0xbc7b_4c04_2ff2_c94b, 0x6a0f_82f3_c0d4_9b09, 0x229c_fbd1_f4a3_a42e, 0x3bd8_16c2_14c6_6410],
    ],
    [
        [0x2a52_e8d0_4563_3ea1, 0x46c3_b6d1_9822_80e9, 0x3c84_0757_7389_79b1, 0x0894_3ec0_1d9f_b9f4],
        [0xdf89_0bf8_98b5_7e47, 0xbc79_ad2f_9d1e_3145, 0xc709_7626_9d89_ed58, 0x2670_bf8c_0182_2e31],
        [0xc75a_0d3b_b204_07f9, 0x93ef_fa94_ed76_5eee, 0xbd3e_689b_65eb_cca4, 0x0dd5_3b41_599a_e78d],
    ],
    [
        [0x20bb_0a22_53f2_03c3, 0x9a1d_88e6_a9af_a792, 0x8c8e_76a8_a565_c868, 0x0681_77d2_9358_5e0b],
        [0xeac6_7b45_1d6b_2cf5, 0x92fe_7a10_bf87_4b1e, 0xdc32_4ad8_d8cf_0cc7, 0x3521_6f47_1043_866e],
        [0x31cc_83ee_0464_f6af, 0xeb2a_5a90_41bb_f846, 0xec37_36e7_f744_8c01, 0x1fd6_efb2_536b_fe11],
    ],
    [
        [0x21da_f0af_1003_3c67, 0x364d_5a43_2457_5e47, 0xfc1b_48da_fcd9_e3cc, 0x2c98_2c73_5210_2289],
        [0x3b13_cf94_851c_1b45, 0x8771_b832_af5b_b5dc, 0xb9c7_22d4_d077_7885, 0x352f_7e8c_7662_d86d],
        [0x4343_5147_149e_37d5, 0x63d8_c9b0_34ae_47db, 0x66ee_1ab6_f55a_5c80, 0x18e3_c0c1_caa5_e3ed],
    ],
    [
        [0x2daa_ab23_8422_eade, 0xe30e_03e0_9195_59bf, 0x3d96_c1a0_8d50_7523, 0x3124_b12d_eb37_dcbb],
        [0xb9bf_c171_3215_dc9a, 0xe572_7833_683d_9740, 0x2109_5200_d2d4_06e6, 0x143b_f0de_f314_37eb],
        [0x6bde_934a_8ef3_8f17, 0x9774_8076_7b53_c71f, 0x9d9a_90ad_62b8_483c, 0x1ebe_e921_43f3_2b4f],
    ],
    [
        [0x9f41_f2e8_1383_ebeb, 0xf9e8_3013_4786_28cf, 0x9408_8d5f_8ee6_c47b, 0x0ff6_c794_ad1a_faa4],
        [0xdd1f_8f9a_2480_4f17, 0xf409_6cf4_1a7f_214f, 0x2e8b_df2c_db49_ac2c, 0x3d0a_10ac_3ee7_07c6],
        [0x37be_d06a_3180_1c91, 0x3352_b95d_472e_ad19, 0xd037_c56b_dfa3_70a7, 0x1d61_014c_d3ef_0d87],
    ],
    [
        [0x7de1_6987_5f90_c525, 0xb25c_8fdb_468e_329e, 0x507a_c1e4_e743_589b, 0x123e_185b_2ec7_f072],
        [0xbae7_f409_ebdb_ecf2, 0xa979_9bdc_7e08_b527, 0x6237_3282_4c75_017d, 0x30b7_80c0_c1cb_0609],
        [0x46ed_f655_d6f5_afef, 0x37a2_ed5c_f1ee_ee3d, 0x9f68_1956_1296_5c6e, 0x1dfb_3801_b7ae_4e20],
    ],
    [
        [0x8b78_311e_1f04_9528, 0x019a_9611_928d_da72, 0x64e9_63c7_4155_2556, 0x2fde_e428_05b2_7740],
        [0xdc75_6545_47e4_a22b, 0xcb51_c9f4_93bf_f71c, 0x36fd_da53_58d9_0cd9, 0x31b2_b65c_4312_12ed],
        [0xfe62_fa22_0319_e0ef, 0x9644_c061_4801_379c, 0x8db7_a543_e62a_c2e6, 0x1e3c_a033_d841_3b68],
    ],
    [
        [0xca09_d017_30da_d432, 0xe52e_9cf1_5e5e_c2b4, 0x52a3_2d93_f931_3153, 0x0c8e_f116_8425_028c],
        [0x6f1a_22cf_8552_638e, 0x6187_ea30_1380_ecfb, 0x94a3_4f75_e5de_7a7a, 0x378c_7337_3a36_a5ed],
        [0x829c_7a75_a85c_2f44, 0x489b_a404_d7f5_f15b, 0x4015_e8f2_2165_7fbe, 0x3218_aeec_2004_8a56],
    ],
    [
        [0x0cd2_c82c_f767_794e, 0x9c77_119c_1825_c656, 0x0f20_f309_31b0_7037, 0x3312_ef7c_bbad_3143],
        [0x58ce_cd98_2dba_478c, 0x2d20_fb45_c366_98d2, 0x607f_a31d_ed8c_0c0d, 0x3564_49a7_1383_674c],
        [0x167a_20bc_b57d_b359, 0x682c_87fa_c2ad_b332, 0x2117_4e55_b49b_2485, 0x0cc8_8d1c_9148_1d53],
    ],
    [
        [0xc58a_4b93_90cc_300f, 0x49b9_4e18_d773_c6c0, 0xad28_4bc4_8ab9_59f3, 0x1def_ccbd_3374_0803],
        [0xfd71_6bc3_ee70_34fe, 0x2063_be83_1cb1_548f, 0x768d_9e1d_2bf2_cbf3, 0x2d26_3cc2_e9af_126d],
        [0x97ff_fa1b_479e_969d, 0x2558_a33b_6b11_285a, 0xe241_028c_e3d3_47c5, 0x111e_314d_b6fb_1a28],
    ],
    [
        [0x329e_537b_513f_453e, 0x7031_99c2_372d_23ef, 0x434c_ba28_68e9_e371, 0x0274_0940_1e92_001d],
        [0x047d_4107_70ff_ffa0, 0x16b8_a57b_dd5f_84e1, 0xedd5_e85a_5986_7d49, 0x24a8_52bd_f9cb_2a8f],
        [0x7746_d21b_4732_9d6e, 0xeb81_e03d_2a29_6655, 0x845a_c64f_f7e3_83a3, 0x205d_1b0e_e359_f621],
    ],
    [
        [0xc91c_79db_982d_f903, 0xbe4c_12da_7d55_a2b1, 0x0f23_b5e4_1c93_1bfb, 0x25c3_27e2_cc93_ec6f],
        [0x1cf8_0e70_8849_82b9, 0xe79e_8f0b_9599_dff0, 0x265d_a50e_f175_909c, 0x39df_3e22_d22b_09b4],
        [0xf98f_b30e_fcdf_aa01, 0x45f4_0faa_a59c_b8df, 0x08c5_b14e_5eb8_611b, 0x09b0_8d58_853d_8ac9],
    ],
    [
        [0xc5c1_dbaa_9c57_a0a6, 0xf888_4f39_7375_c0f3, 0xdb4a_68f9_cdda_af52, 0x1ece_6237_4d79_e717],
        [0xe3fd_4963_9b9f_a1c1, 0x87d7_bcce_0344_1475, 0xe263_fa5e_35b6_18db, 0x3bd0_89b7_27a0_ee08],
        [0xc0cc_12f5_1a7b_2aff, 0xee9b_32b8_74b9_3dcf, 0xc94c_9514_1bfb_4719, 0x3fed_ea75_f37a_d9cf],
    ],
    [
        [0xb20e_c342_4d0e_65cd, 0xcb43_aca9_d4e0_a251, 0x2284_94a8_acaf_0668, 0x36df_a18a_9ba1_b194],
        [0xf57c_658f_4193_1d0c, 0xa549_8b0d_411a_1437, 0xcb3b_0632_567d_9cca, 0x119e_98db_3f49_cd7f],
        [0xbd9b_7f45_e6d0_2c19, 0x5c54_ad3c_c56c_a22a, 0x16b3_efcd_75c3_ae13, 0x1100_b21c_3064_75d8],
    ],
    [
        [0x800f_4bbe_e4ea_5119, 0x157f_003c_65b6_4aa9, 0x7208_c827_94eb_667f, 0x1579_1f9b_bea2_1393],
        [0xc1ab_4285_b350_be64, 0x16eb_3e3d_c8d5_d440, 0xcfd2_50eb_ee56_a2a8, 0x1adb_eb5e_9c4d_515e],
        [0x20bf_0e81_3cee_cbc3, 0xab09_e26b_ea29_ab00, 0x9aec_253e_8e42_60e4, 0x1fbf_4738_844a_9a24],
    ],
    [
        [0x9af3_e3b0_434e_af0e, 0xd407_388c_ce83_949b, 0x0864_59bb_9e63_a821, 0x3418_a929_556e_c51a],
        [0x736c_da04_32e8_ff9e, 0x44af_b240_d48e_eab1, 0x9974_05d0_c51b_e695, 0x0940_6b5c_3af0_290f],
        [0xf89b_6de1_336f_5bc7, 0x2d1d_873c_9141_ef01, 0xd43c_d923_e5e3_e2f6, 0x23ec_e5d7_0b38_ccc9],
    ],
    [
        [0x661f_2ef8_7e67_234d, 0x40cf_96c5_24a6_2965, 0x0b1e_64f6_c41e_eb8d, 0x1852_d574_e46d_370a],
        [0xb378_9d98_28b0_ce90, 0x37b5_0867_4a36_6c66, 0x38ea_896d_de27_3b75, 0x0a65_7027_cce8_d4f2],
        [0x2a85_0e45_511f_5a2d, 0xbaa7_3c72_3baf_2192, 0x08fb_bb68_fd94_f8f2, 0x3482_f98a_46ec_3581],
    ],
    [
        [0x2a63_29c1_ec54_63ee, 0x0237_e17a_d6ab_c76d, 0x35a6_cbf7_6131_d243, 0x3f62_f164_f8c9_05b3],
        [0x9ea2_9256_8569_4df0, 0x4b15_c5ea_b567_d5a6, 0xa028_465b_2950_ea44, 0x07e3_97f5_03f9_c1ce],
        [0x6aed_b216_db17_a876, 0xb270_3ae0_a0b4_edb8, 0x3d6e_b50a_09fb_fb05, 0x0405_f1fc_7118_7237],
    ],
    [
        [0xfcfe_c754_a256_58c1, 0x1c97_afa1_4a84_4406, 0x2711_0ad8_42c5_0244, 0x0be0_848e_b3e0_9c70],
        [0x1d98_4f90_5d9b_a870, 0xffed_06b6_97d8_47f6, 0x0bac_92d0_e779_2bb5, 0x26b7_8788_fd98_ac02],
        [0x7005_8713_55df_a573, 0x1c0e_c436_3e6c_c068, 0x2fef_9bdd_3331_5a54, 0x38fd_5318_d390_55c8],
    ],
    [
        [0xe8c8_bc68_7d52_16de, 0x1a50_0221_8c61_7294, 0xba38_30e7_cace_72f9, 0x380b_d03b_840c_48c8],
        [0x5622_895c_531b_4e1c, 0x416b_c842_6f30_e2af, 0x0299_ed49_c3d7_4759, 0x2c6e_57dd_c1d7_c81a],
        [0x58b1_75e3_bc45_84f3, 0x0de8_cb9d_d162_d97c, 0xf506_ee6d_88e5_991d, 0x11d3_a81b_262f_c76e],
    ],
    [
        [0x5741_deb6_a1ba_7def, 0x2adf_67dd_f586_1492, 0xb1e4_4896_9ace_9be6, 0x09b6_b283_ebaf_45fb],
        [0xb6f6_dfcd_ac50_4ade, 0x8282_1a17_bc55_63a5, 0x3fa8_3cdf_776d_4363, 0x15d5_0951_64c8_8576],
        [0x2293_308e_ff7d_9124, 0xad9c_4252_b23d_12c1, 0x063e_b138_c505_5c6c, 0x3427_fdbf_ca3c_ea23],
    ],
    [
        [0xe065_6672_c816_85fe, 0x94db_1da5_f6a7_e1ee, 0x317e_f254_3c33_b861, 0x272f_12e7_3107_7b74],
        [0x95f1_83e7_69f4_2967, 0x4967_913a_2bdc_e119, 0x193c_37a7_3d76_f611, 0x0532_3f85_deb8_c07c],
        [0x952b_097f_3852_d3d8, 0x94f4_6efd_dff2_fcca, 0x2b41_7ea3_a501_b446, 0x3d5c_e415_ecae_4ba4],
    ],
    [
        [0xd7fd_5bfe_1d3d_b8f2, 0xb8c0_c739_1cf9_479c, 0xd420_47f1_f0b2_a90c, 0x0e8e_c18c_7b52_c514],
        [0xd01a_833e_d0a9_ef1a, 0xddbe_af3a_fae5_4edc, 0x5430_4519_f8bb_268b, 0x0159_1c86_5ea7_065d],
        [0x2d74_729d_fc31_19fb, 0x41e0_d711_86d8_f0f6, 0xee4b_f178_9c43_5e12, 0x3edd_beee_e5ec_a5de],
    ],
    [
        [0xf8f7_62af_3e35_5707, 0x3c19_93e6_ecf4_58de, 0x2687_66e8_d491_716d, 0x2369_1c70_09b9_283b],
        [0x4f1c_4db3_97d4_c09b, 0x3490_7374_d81a_61a3, 0x5bea_4be1_d6f0_4880, 0x26cd_ab2c_837e_beac],
        [0xb556_53c1_df72_ef56, 0x0c26_4a74_10a2_cdb6, 0xe067_6dad_1fee_0e99, 0x2d22_0673_0664_d58b],
    ],
    [
        [0x94b7_117b_0be9_217f, 0x4086_e62b_0498_5dd7, 0xa4ef_5f6d_18e2_ece5, 0x2bb7_4bb1_8537_2334],
        [0x589b_28cd_851b_2204, 0x07ff_3c59_8410_199b, 0xd5aa_35f0_a142_7549, 0x3662_50fe_928c_45d8],
        [0x022d_9976_bdc3_4af1, 0x8953_179c_20f7_3a44, 0xa5a6_1a81_c8aa_ca12, 0x1868_f811_8482_c6b4],
    ],
    [
        [0x4bdc_07ae_2f78_b4d3, 0xc963_f0f7_a6ca_2499, 0x726e_b88d_0009_50b3, 0x0b79_01c6_70e1_d75d],
        [0x0331_4566_db90_b870, 0xe6c8_a101_dfc5_e8dd, 0x5af7_7af5_7dd3_40c8, 0x032c_4bd8_ab70_e1f2],
        [0x00f0_e7b4_86c0_ab8a, 0x5c41_a8f0_a650_9bfe, 0xd930_8db9_aa43_a8af, 0x1ce3_6db3_1fe6_ea3c],
    ],
    [
        [0xff6c_a855_fe4b_7c6e, 0x0505_e244_9e32_5810, 0xda34_79e9_d13c_3c92, 0x2659_6ea9_e191_5e53],
        [0x0e71_3509_d3a6_d5dc, 0x304d_f317_2955_9a27, 0xca8f_5b1e_269c_0116, 0x30f2_96a2_6986_8a7f],
        [0x919a_994d_fd19_79d5, 0x5264_0647_cbd2_3136, 0x87eb_6ac7_2350_ef9f, 0x0258_8961_eff7_897d],
    ],
    [
        [0xdb24_8559_5409_d62b, 0xbaf9_a2ab_f4b8_9388, 0x0d41_e062_29e9_bc2d, 0x16a4_9e69_721e_8069],
        [0x9d3a_df3d_6c5d_a7bf, 0x3a31_888a_fc4a_444d, 0x8073_cfd6_7210_cd42, 0x3d7a_ca02_c051_fcad],
        [0xe254_31ef_9518_47b4, 0x7242_1de5_a643_7fa5, 0x0752_6831_2ab8_072c, 0x299b_d48a_740b_7790],
    ],
    [
        [0xdc6a_42b9_9072_902b, 0xe36e_efae_a9e8_126b, 0xc1b2_f28e_9661_7129, 0x11a6_9b86_7d9e_a22e],
        [0xe7a7_0fca_22da_64ce, 0x1b3a_4079_4b23_58b2, 0x284a_95da_92b5_883d, 0x25bc_1af3_91f3_c1f2],
        [0x365d_e438_95de_0baa, 0x9f89_b6d9_aa11_7b8f, 0xdede_39d8_2bb1_a810, 0x361a_b384_3f4d_8dda],
    ],
    [
        [0x06d5_c960_f49d_d45b, 0x2276_59b4_1fdf_1452, 0x3465_a017_a9c8_ba4c, 0x38ef_3ab5_b61c_117a],
        [0x94fe_af56_0aaa_e20f, 0x238a_e43c_2497_83f6, 0xbd33_5604_a1a1_4daf, 0x3992_f83f_2614_3dbd],
        [0x869e_1dc7_fa1d_c638, 0xa9ed_84a0_4301_cb30, 0xb10e_cd03_9aad_99cf, 0x3502_8797_7eb7_1c81],
    ],
    [
        [0x802c_48b1_da97_d6ed, 0xa3f3_b834_ca96_78d6, 0xdccc_ba32_dd05_4cd9, 0x3afb_5bc1_2602_0586],
        [0x8f59_072c_729d_e671, 0xd097_0c54_9664_07fa, 0xd183_a257_5b79_0749, 0x172b_7c2d_8e7e_4b06],
        [0xf4d3_68c1_f67d_57e4, 0x2699_35ae_c6c8_97be, 0x7049_4569_e54a_0f0d, 0x2eb5_3fe3_a278_688a],
    ],
    [
        [0xee6a_5bb7_078b_5035, 0xf039_3e5a_321b_71ca, 0x553e_d77d_406d_edc3, 0x0375_ae56_b8d9_310d],
        [0xadbf_54bc_17c1_ef38, 0xe46a_7031_d5e5_d43f, 0xbf1f_b5d1_da9b_b76f, 0x1d49_a0d5_3bc2_993c],
        [0xf714_2636_7f95_3160, 0xd379_57e9_89c4_4f1f, 0x7ddf_a1f0_1df1_724a, 0x132d_17b8_7cab_6d70],
    ],
    [
        [0x0060_be4b_e675_5f85, 0x0f9e_c179_a441_4675, 0xc4ac_c7e6_a1aa_421f, 0x062d_a528_0948_d8c6],
        [0xbbbf_211d_1add_80f9, 0x2510_c300_f219_30d6, 0xea4e_57ee_4132_d2ab, 0x0a4b_4d5c_de54_a974],
        [0xcd78_fbf3_ff86_4e91, 0xe499_65c1_9284_d7aa, 0xab75_2b70_bbed_821c, 0x3356_f1fb_eac4_93cc],
    ],
    [
        [0x7e65_3ec6_ff8a_4059, 0xfbf4_cb1b_8f47_d37e, 0x7851_feb0_e019_0c5d, 0x0427_21e8_a9cc_3255],
        [0x21e8_6f47_cdf7_48b1, 0x3181_28cd_f018_97d3, 0xa4fc_5724_ce6b_4422, 0x053d_9b26_33ff_f31c],
        [0x6a78_6219_fb4c_801c, 0x532a_22f0_2054_9471, 0xd3db_1f06_68b0_9ccd, 0x267d_96ca_eafd_e5db],
    ],
    [
        [0x56d7_7410_1650_a6ca, 0x8aac_12cd_7b95_b8d2, 0x3c3f_9ffc_fd4e_23d3, 0x3931_6997_7376_1019],
        [0x096b_ca5f_3779_81fb, 0x4c6b_200b_9101_b3a5, 0xfdab_f9b2_3529_f7c8, 0x191e_3774_6298_6563],
        [0x55ec_a62f_e73f_f3d9, 0x3a79_25ad_0798_cab6, 0x60d2_059a_0ec2_09cf, 0x20f8_9af9_722f_79c8],
    ],
    [
        [0x879d_f353_4a7d_1e0b, 0x785b_9ca1_45d9_7e35, 0x1a7c_78ec_f104_d32d, 0x1ca5_68ae_ddb2_ef39],
        [0x0e4a_bf09_0211_251c, 0x78d9_1881_b6f9_4ee7, 0xb4c0_b9c3_bc25_cbbf, 0x25de_9ba0_a374_72c3],
        [0x2d26_518c_d568_e1ef, 0xf0e5_5c62_f050_8ccc, 0x1c75_83be_e07e_605e, 0x3393_debd_38d3_1188],
    ],
    [
        [0x3e78_bc7a_4515_c5b1, 0x642d_5c39_7388_d1dd, 0x3806_aa9d_994a_611f, 0x038d_f2fd_18a8_d756],
        [0x7a66_6704_7f6d_501c, 0xc922_2b09_08f4_4553, 0x2435_ad91_48d7_fb94, 0x05c6_503f_f1ee_548f],
        [0x2eb7_9846_8a82_a2ab, 0xb101_a220_aa8f_9057, 0xd3d6_6482_6dc9_565d, 0x104c_88d6_d068_2d82],
    ],
    [
        [0x471f_90bf_a4ac_628b, 0xc3ca_3c56_a800_03c8, 0xee78_51b4_a2d2_d3b7, 0x2caa_d610_8c09_ee6a],
        [0xc4bd_7088_aa03_53f3, 0xdb96_6177_346f_1792, 0x8a97_bc72_85f9_4bcd, 0x0a57_dbd4_c327_826c],
        [0xe32f_ea39_fbe9_08fa, 0xa1cc_9eb9_1d83_b918, 0x8433_d01b_b53b_a04b, 0x3c15_552f_9124_318b],
    ],
    [
        [0xe66d_2075_f623_b513, 0xc222_208b_d4fa_8f3b, 0x9441_c629_9c4f_c087, 0x0e10_c10c_bbe1_717a],
        [0xd640_042c_b879_a930, 0xa957_0f59_0e49_7cb2, 0x83df_f172_8c81_dd22, 0x1e8b_254c_bff2_c92a],
        [0x41c4_adc4_3f2b_2352, 0xd1fa_f578_6419_b538, 0x0057_bbfd_d0cc_4d31, 0x1812_dbcd_70c4_4061],
    ],
];
